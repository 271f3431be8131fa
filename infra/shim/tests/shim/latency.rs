//! How long a start takes, engine beside engine in one run. By hand, with an optimised build:
//! `cargo test --release -p kogge-shim --test shim -- --ignored --nocapture latency`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use kogge_host::memory::Footprint;
use kogge_shim::client::{null_stdio, spawn};
use kogge_shim::config::EngineKind;
use kogge_shim::protocol::ExecRequest;

use crate::fixture::{DEADLINE, Fixture};

const ROUNDS: usize = 30;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
#[ignore = "a measurement, not a verdict"]
fn start_latency_of_both_engines() {
    let runc = EngineKind::Runc { path: PathBuf::from("/usr/sbin/runc") };
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (engine, times) in [EngineKind::Libcontainer, runc.clone()].into_iter().zip(&mut times) {
            let mut fixture = Fixture::new(&["true"]);
            fixture.config.engine = engine;
            fixture.write();
            let begin = Instant::now();
            fixture.block_on(spawn(fixture.program(), &fixture.dir, DEADLINE)).unwrap();
            times.push(begin.elapsed());
        }
    }
    let [library, tool] = times.map(median);
    println!(
        "start: library {library:?}, runc {tool:?}, ratio {:.2}",
        library.as_secs_f64() / tool.as_secs_f64()
    );
}

#[test]
#[ignore = "a measurement, not a verdict"]
fn latency_of_an_exec_and_memory_of_a_supervisor() {
    let fixtures: Vec<Fixture> = (0..20).map(|_| Fixture::new(&["sleep", "1000"])).collect();
    fixtures.iter().for_each(Fixture::write);
    let shims: Vec<u32> = fixtures
        .iter()
        .map(|fixture| {
            fixture.block_on(spawn(fixture.program(), &fixture.dir, DEADLINE)).unwrap().pong.shim_pid
        })
        .collect();
    let footprint = |what: &str| {
        let mut all: Vec<_> =
            shims.iter().map(|shim| kogge_host::memory::footprint(*shim).unwrap()).collect();
        all.sort_by_key(|footprint| footprint.pss_bytes);
        let Footprint { pss_bytes, private_bytes } = all[all.len() / 2];
        println!("{what}: PSS {} KiB, private {} KiB", pss_bytes >> 10, private_bytes >> 10);
    };
    footprint("20 supervisors");
    let request = ExecRequest { args: vec!["true".to_owned()], ..Default::default() };
    let mut execs = Vec::new();
    for _ in 0..ROUNDS {
        for fixture in &fixtures[..3] {
            let begin = Instant::now();
            let client = kogge_shim::client::Client::new(&fixture.dir);
            fixture.block_on(client.exec(request.clone(), Some(null_stdio().unwrap()))).unwrap();
            execs.push(begin.elapsed());
        }
    }
    println!("exec: {:?}", median(execs));
    footprint("20 supervisors later");
}
