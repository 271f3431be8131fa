//! Power is lost in the middle of writes.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Instant;

use anyhow::{Context, bail};
use serde_json::Value;

use super::guest::{API, Guest};
use super::unit;
use crate::program::talk;

/// Clients that write at once, each to a service of its own.
const WRITERS: u32 = 3;

/// Prints `REVISION MESSAGE` for every change that was acknowledged. Each change is another command, told in the
/// history too, of a service without instances.
const LOAD: &str = r#"
write() {
  n=0
  while :; do
    n=$((n+1)); m="LOSS.$1.$n"
    body="{\"name\":\"load-$1\",\"instances\":0,\"command\":\"echo $m\",\"message\":\"$m\"}"
    answer=$(curl -sS -f -m 60 -H 'content-type: application/json' -d "$body" API/deployments) || exit 1
    printf '%s\n' "$answer" | sed -n "s/.*\"revision\":\([0-9]*\),\"deployments\".*/\1 $m/p"
  done
}
for writer in $(seq WRITERS); do write $writer & done
wait
"#;

/// Loses power so many times. Between two losses everything acknowledged must be there, and nothing half done.
pub(crate) fn losses(guest: &mut Guest, times: u32) -> anyhow::Result<()> {
    let images = unit::images(guest)?;
    let mut acknowledged = BTreeMap::new();
    for loss in 1..=times {
        // Never at the same place: a few writes after the start of the load, or some more.
        let enough = 5 + usize::try_from(loss * 7 % 20)?;
        let begin = Instant::now();
        let more = write_until_loss(guest, loss, enough)?;
        let count = more.len();
        acknowledged.extend(more);
        guest.machine.boot()?;
        unit::is_whole(guest, &images).with_context(|| format!("after loss {loss}"))?;
        nothing_is_lost(guest, &acknowledged).with_context(|| format!("after loss {loss}"))?;
        let seconds = begin.elapsed().as_secs();
        talk(&format!("test-vm: loss {loss} of {times}: {count} acknowledged writes are there, {seconds} s"));
    }
    Ok(())
}

/// Gives what was acknowledged: revision and message.
fn write_until_loss(guest: &mut Guest, loss: u32, enough: usize) -> anyhow::Result<BTreeMap<u64, String>> {
    let load =
        LOAD.replace("LOSS", &loss.to_string()).replace("WRITERS", &WRITERS.to_string()).replace("API", API);
    let limit = guest.machine.patience();
    let mut child =
        guest.machine.command(&load, limit).stdout(Stdio::piped()).spawn().context("cannot run ssh")?;
    let lines = BufReader::new(child.stdout.take().expect("its output is a pipe")).lines();
    // When full, the reader waits and so do the writers.
    let (sender, receiver) = sync_channel(64);
    let reader = std::thread::spawn(move || {
        let _ = lines.map_while(Result::ok).try_for_each(|line| sender.send(line));
    });
    let mut acknowledged = BTreeMap::new();
    let deadline = Instant::now() + limit;
    let mut take = |line: String| {
        if let Some((Ok(revision), message)) =
            line.split_once(' ').map(|(first, rest)| (first.parse::<u64>(), rest))
        {
            acknowledged.insert(revision, message.to_owned());
        }
        acknowledged.len()
    };
    let mut is_enough = false;
    while !is_enough {
        match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => is_enough = take(line) >= enough,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    guest.machine.lose_power();
    // What was on its way out when the power went was acknowledged, too.
    receiver.iter().for_each(|line| {
        take(line);
    });
    let _ = child.kill();
    let _ = child.wait();
    let _ = reader.join();
    if !is_enough {
        bail!("only {} writes were acknowledged, {enough} were waited for", acknowledged.len());
    }
    Ok(acknowledged)
}

/// The history holds every acknowledged write and has no gap, and services are as their newest revision says.
fn nothing_is_lost(guest: &Guest, acknowledged: &BTreeMap<u64, String>) -> anyhow::Result<()> {
    let newest = guest.kogge("status")?["revision"].as_u64().context("a cloud has a revision")?;
    let last = acknowledged.keys().next_back().copied().unwrap_or(0);
    if newest < last {
        bail!("revision {last} was acknowledged, the newest is {newest}");
    }
    let history: Value =
        serde_json::from_str(&guest.ok(&format!("curl -sS -f '{API}/revisions?limit=1000'"))?)?;
    let history: Vec<&Value> = history.as_array().into_iter().flatten().collect();
    let messages: BTreeMap<u64, &str> = history
        .iter()
        .filter_map(|revision| Some((revision["revision"].as_u64()?, revision["message"].as_str()?)))
        .collect();
    for (revision, message) in acknowledged {
        if messages.get(revision) != Some(&message.as_str()) {
            bail!("revision {revision} was acknowledged as {message:?}, it is {:?}", messages.get(revision));
        }
    }
    for pair in history.windows(2) {
        if pair[0]["parent"] != pair[1]["revision"] {
            bail!(
                "revision {} follows {}, its parent is {}",
                pair[0]["revision"],
                pair[1]["revision"],
                pair[0]["parent"]
            );
        }
    }
    for writer in 1..=WRITERS {
        let is_its = |message: &&str| message.split('.').nth(1) == Some(&writer.to_string());
        let Some(wanted) = messages.values().rev().copied().find(is_its) else { continue };
        let service: Value =
            serde_json::from_str(&guest.ok(&format!("curl -sS -f {API}/services/load-{writer}"))?)?;
        if service["command"] != format!("echo {wanted}") {
            bail!(
                "the newest revision of load-{writer} is {wanted:?}, the service has {}",
                service["command"]
            );
        }
    }
    Ok(())
}
