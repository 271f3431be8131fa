//! Changing routes and instances under load loses no request.
//!
//! The same load on nginx, which is told of each change by a reload, is the control that shows that losses would be
//! seen: it closes idle connections on which clients are about to send.

use anyhow::ensure;
use kogge_testkit::CloudUnderTest;

use super::lab::Lab;
use super::load::{Tally, during};
use super::peers::nginx::{Nginx, upstream_line};
use super::process::await_some;
use super::router::{HOST, deploy_upstream, upstream_words};
use super::row::{Better, Goal, Row, Series};

const CHANGES: usize = 100;
const REQUESTS: u64 = 100_000;
const CONNECTIONS: usize = 32;
/// Two of them, and one that comes while one goes, fit on two cores.
const CPUS: &str = "0.6";

pub(crate) fn run(lab: &Lab) -> anyhow::Result<Vec<Row>> {
    let cloud = CloudUnderTest::up(&lab.kogge()?.to_string_lossy());
    let upstreams = deploy_upstream(&cloud, CPUS)?;
    let door = cloud.door("router_http");
    let ((), ours) = during(&door, HOST, CONNECTIONS, REQUESTS, || change(&cloud))?;
    let nginx = Nginx::proxy(&lab.scratch().join("nginx"), &upstreams)?;
    let ((), theirs) = during(nginx.address(), HOST, CONNECTIONS, REQUESTS, || reload(&nginx))?;
    drop(nginx);
    cloud.down();
    let series =
        |tally: Tally, what: fn(Tally) -> u64| -> Series { [what(tally) as f64].into_iter().collect() };
    Ok(vec![
        Row::new(
            "routes: failed in 100 changes",
            "requests",
            Better::Lower,
            series(ours, |tally| tally.failed),
        )
        .beside("nginx reload", series(theirs, |tally| tally.failed))
        .goal(Goal::AtMost(0.0)),
        Row::new("routes: load meanwhile", "requests", Better::Higher, series(ours, |tally| tally.requests))
            .beside("nginx reload", series(theirs, |tally| tally.requests))
            .goal(Goal::AtLeast(100_000.0)),
        Row::new(
            "routes: the control fails",
            "requests",
            Better::Higher,
            series(theirs, |tally| tally.failed),
        )
        .goal(Goal::AtLeast(1.0))
        .note(
            "failures of nginx under the same load and as many reloads; 0 would mean that losses go unseen",
        ),
    ])
}

/// Host names come and go, instances come and go; each change is waited for and looked at.
fn change(cloud: &CloudUnderTest) -> anyhow::Result<()> {
    let line = upstream_line();
    for number in 0..CHANGES {
        match number % 4 {
            0 => drop(cloud.ok(&["scale", "web=2"])),
            2 => drop(cloud.ok(&["scale", "web=1"])),
            more => {
                let (host, count) = (format!("also{number}.localhost"), if more == 1 { "2" } else { "1" });
                cloud.ok(&upstream_words(&line, count, CPUS, &["--host", &host]));
                let answer = cloud.get(&host, "/")?;
                ensure!(answer.status == 200, "the new route {host} answers {}", answer.text);
            }
        }
    }
    Ok(())
}

/// As many reloads, each waited for: the old workers are gone or leaving when the new ones serve.
fn reload(nginx: &Nginx) -> anyhow::Result<()> {
    for _ in 0..CHANGES {
        let before = nginx.processes();
        nginx.reload()?;
        await_some("new workers of nginx", || {
            let now = nginx.processes();
            Ok(now.iter().any(|pid| !before.contains(pid)).then_some(()))
        })?;
    }
    Ok(())
}
