//! `kogge-sim`: runs seeds by hand.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use kogge_sim::day::{self, Day};
use kogge_sim::placing::{Placing, cpu_time};
use kogge_sim::{Backoff, Scenario, Trick};

const AGENTS: usize = 5_000;
const TASKS: u32 = 50_000;

/// Simulates clusters that go wrong, each from its seed.
#[derive(Debug, Parser)]
#[command(name = "kogge-sim")]
struct Options {
    /// How many seeds
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Lines of a failing run to show
    #[arg(long, default_value_t = 120)]
    lines: usize,
    /// Services are single copies only, and most words are late
    #[arg(long)]
    single: bool,
    /// Measure placing instead: 50,000 tasks with a constraint each on 5,000 agents, as JSON
    #[arg(long)]
    placing: bool,
    /// Live through a day of many agents on wires that lose packets instead, as JSON
    #[arg(long, conflicts_with = "placing")]
    day: bool,
    /// Agents of the day
    #[arg(long, default_value_t = 10_000, requires = "day")]
    agents: usize,
    /// Instances of the day
    #[arg(long, default_value_t = 100_000, requires = "day")]
    instances: u32,
    /// Simulated hours of the day
    #[arg(long, default_value_t = 24, requires = "day")]
    hours: u64,
    /// Packets that are lost during the day, in thousandths
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(..900), requires = "day")]
    lost: u64,
    /// Connections wait twice as long after each loss, as they do unless asked otherwise
    #[arg(long, requires = "day")]
    doubling: bool,
    /// Go on after a failing seed
    #[arg(long)]
    keep_going: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.placing {
        return measure_placing();
    }
    if options.day {
        return live_through_a_day(&options);
    }
    run_seeds(&options)
}

#[expect(clippy::print_stdout, reason = "standard output is what this program is for")]
fn run_seeds(options: &Options) -> ExitCode {
    let mut failed = 0u64;
    for seed in options.from..options.from.saturating_add(options.seeds) {
        let scenario = if options.single { Scenario::of_single_copies(seed) } else { Scenario::draw(seed) };
        match kogge_sim::run(&scenario, Trick::None) {
            Ok(tally) => println!("seed {seed}: {tally:?}"),
            Err(failure) => {
                failed += 1;
                let mut text = String::new();
                failure.tell(&mut text, options.lines).expect("a string takes every text");
                println!("{text}");
                if !options.keep_going {
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    println!("{} seeds, {failed} failed", options.seeds);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One run on a fresh cluster; whoever wants a median runs this several times.
#[expect(clippy::print_stdout, reason = "standard output is what this program is for")]
fn measure_placing() -> ExitCode {
    let mut placing = Placing::prepare(AGENTS, TASKS);
    let (begun, cpu_begun) = (Instant::now(), cpu_time());
    let placed = placing.place();
    let wall = begun.elapsed();
    let cpu = cpu_time().zip(cpu_begun).map_or(wall, |(after, before)| after - before);
    let is_right = placed == u64::from(TASKS) && placing.is_as_wanted();
    println!(
        r#"{{"agents":{AGENTS},"tasks":{TASKS},"placed":{placed},"is_right":{is_right},"cpu_s":{:.6},"wall_s":{:.6},"placements_per_cpu_s":{:.0}}}"#,
        cpu.as_secs_f64(),
        wall.as_secs_f64(),
        placed as f64 / cpu.as_secs_f64()
    );
    if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Nobody dies in it, so whoever was given up was given up wrongly.
#[expect(clippy::print_stdout, reason = "standard output is what this program is for")]
fn live_through_a_day(options: &Options) -> ExitCode {
    let evening = day::live(Day {
        seed: options.from,
        agents: options.agents,
        instances: options.instances,
        time: Duration::from_secs(options.hours.saturating_mul(3600)),
        lost_permille: options.lost,
        backoff: if options.doubling { Backoff::Doubling } else { Backoff::Thin },
    });
    println!(
        r#"{{"agents":{},"hours":{},"heartbeats":{},"starts":{},"suspected":{},"given_up":{},"longest_silence_s":{:.3}}}"#,
        options.agents,
        options.hours,
        evening.heartbeats,
        evening.starts,
        evening.suspected,
        evening.given_up,
        evening.longest_silence.as_secs_f64()
    );
    ExitCode::SUCCESS
}
