//! `cluster status`.

use std::io::Write;
use std::path::Path;

use kogge_testkit::cluster::{Node, ProcessState, Record, Role};

use super::must_be_up;

/// A line for each node, on standard output.
pub(super) fn run(file: &Path) -> anyhow::Result<()> {
    must_be_up(file)?;
    let record = Record::read(file)?;
    let mut out = std::io::stdout().lock();
    for node in &record.nodes {
        writeln!(out, "{}", line(node))?;
    }
    let client = &record.client;
    writeln!(out, "clients  {:<16} {}", client.address, client.namespace)?;
    Ok(())
}

/// What is known of a node.
pub(super) fn line(node: &Node) -> String {
    let role = match node.role {
        Role::Server => "server",
        Role::Agent => "agent",
        Role::Engine => "engine",
    };
    let state = match (node.state(), node.pid) {
        (ProcessState::Running, Some(pid)) => format!("runs as {pid}"),
        (ProcessState::Paused, Some(pid)) => format!("stands still as {pid}"),
        (ProcessState::Gone, Some(_)) => "has ended by itself".to_owned(),
        (_, None) => "is down".to_owned(),
    };
    let text = format!("{:<4} {role:<7} {:<15} {state:<22} {}", node.name, node.address, wrong(node));
    text.trim_end().to_owned()
}

fn wrong(node: &Node) -> String {
    let mut words: Vec<String> = Vec::new();
    for cut in &node.faults.cuts {
        let peer = cut.peer.as_ref().map(|peer| format!(" for {peer}")).unwrap_or_default();
        words.push(format!("cut {}{peer}", cut.direction));
    }
    words.extend(node.faults.loss.map(|share| format!("loses {share}")));
    words.extend(node.faults.rate.map(|rate| format!("at {rate}")));
    words.extend(node.faults.largest.map(|bytes| format!("loses packets over {bytes} bytes")));
    words.join(", ")
}
