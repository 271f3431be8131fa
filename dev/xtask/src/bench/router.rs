//! What a request through the router costs, beside nginx in front of the very same instance.

use kogge_testkit::CloudUnderTest;

use super::lab::Lab;
use super::peers::nginx::{Nginx, upstream_line};
use super::process::cpu_seconds;
use super::row::{Better, Goal, Row, Series};
use super::wrk;

const ROUNDS: usize = 5;
const SECONDS: u32 = 5;
const PEER: &str = "nginx";
pub(crate) const HOST: &str = "web.localhost";

/// Starts the upstream as a service `web` with one instance; gives the address of each.
pub(crate) fn deploy_upstream(cloud: &CloudUnderTest, cpus: &str) -> anyhow::Result<Vec<String>> {
    let line = upstream_line();
    cloud.ok(&upstream_words(&line, "1", cpus, &[]));
    let healthy = cloud.healthy("web", 1);
    let address = |instance: &serde_json::Value| format!("127.0.0.1:{}", instance["ports"][0]["host_port"]);
    Ok(healthy.iter().map(address).collect())
}

/// Words that deploy it.
pub(crate) fn upstream_words<'a>(
    line: &'a str,
    count: &'a str,
    cpus: &'a str,
    more: &[&'a str],
) -> Vec<&'a str> {
    let mut words = vec!["deploy", "--name", "web", "--command", line, "--network", "host"];
    words.extend(["--cpus", cpus, "--mem", "64M", "--instances", count, "--health", "tcp"]);
    words.extend(["--health-interval", "1s"]);
    words.extend(more);
    words
}

pub(crate) fn run(lab: &Lab) -> anyhow::Result<Vec<Row>> {
    let cloud = CloudUnderTest::up(&lab.kogge()?.to_string_lossy());
    let upstreams = deploy_upstream(&cloud, "1")?;
    let nginx = Nginx::proxy(&lab.scratch().join("nginx"), &upstreams)?;
    let door = cloud.door("router_http");
    let own = [cloud.pid()];
    let (mut ours, mut our_tail, mut our_failed) = (Series::default(), Series::default(), 0.0);
    let (mut theirs, mut their_tail) = (Series::default(), Series::default());
    for _ in 0..ROUNDS {
        let (seen, rate) = load(&door, || own.to_vec())?;
        ours.push(rate);
        our_tail.push(seen.p99);
        our_failed += seen.failed;
        let (seen, rate) = load(nginx.address(), || nginx.processes())?;
        theirs.push(rate);
        their_tail.push(seen.p99);
    }
    drop(nginx);
    cloud.down();
    Ok(vec![
        Row::new("router: requests per CPU-second", "1/s", Better::Higher, ours)
            .beside(PEER, theirs)
            .goal(Goal::RatioAtLeast(0.9))
            .note("nginx tells the service of its client with the same headers as Kogge"),
        Row::new("router: p99 at full load", "ms", Better::Lower, our_tail).beside(PEER, their_tail),
        Row::new("router: failed meanwhile", "requests", Better::Lower, [our_failed].into_iter().collect())
            .goal(Goal::AtMost(0.0)),
    ])
}

/// One round: what was seen, and requests per second of the processor time of these processes.
fn load(address: &str, processes: impl Fn() -> Vec<u32>) -> anyhow::Result<(wrk::Seen, f64)> {
    // Connections are made and caches are warm before the clock starts.
    wrk::load(address, HOST, 1)?;
    let before = cpu_seconds(&processes());
    let seen = wrk::load(address, HOST, SECONDS)?;
    let used = cpu_seconds(&processes()) - before;
    anyhow::ensure!(used > 0.0, "{address} used no processor time");
    Ok((seen, seen.requests / used))
}
