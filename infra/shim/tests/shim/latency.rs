//! How long a start takes, engine beside engine in one run. By hand, with an optimised build:
//! `cargo test --release -p kogge-shim --test shim -- --ignored --nocapture latency`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use kogge_shim::config::EngineKind;

use crate::fixture::Fixture;

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
            fixture.try_start().unwrap();
            times.push(begin.elapsed());
        }
    }
    let [library, tool] = times.map(median);
    println!(
        "start: library {library:?}, runc {tool:?}, ratio {:.2}",
        library.as_secs_f64() / tool.as_secs_f64()
    );
    let fixture = Fixture::new(&["sleep", "1000"]);
    let client = fixture.start();
    let shim = fixture.block_on(client.ping()).unwrap().shim_pid;
    println!("shim: {:?}", kogge_host::memory::footprint(shim).unwrap());
    let request = kogge_shim::protocol::ExecRequest { args: vec!["true".to_owned()], ..Default::default() };
    let mut execs = Vec::new();
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let stdio = kogge_shim::client::null_stdio().unwrap();
        fixture.block_on(client.exec(request.clone(), Some(stdio))).unwrap();
        execs.push(begin.elapsed());
    }
    println!("exec: {:?}; shim after: {:?}", median(execs), kogge_host::memory::footprint(shim).unwrap());
}
