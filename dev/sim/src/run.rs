//! One seed from its beginning to its end.

use std::fmt;
use std::time::Duration;

use crate::check;
use crate::sabotage::Trick;
use crate::scenario::Scenario;
use crate::world::{Tally, World};

/// Once faults stop the cluster has this long; lost machines, back-offs, deployments and roll-backs included.
const TIME_TO_SETTLE: Duration = Duration::from_secs(480);
/// A cluster that is settled stays so.
const STAYS_SETTLED: Duration = Duration::from_secs(20);
/// How long a forgetful server is watched.
const TIME_TO_KILL: Duration = Duration::from_secs(90);
/// Lines of a failing run that are kept.
const KEPT: usize = 20_000;
/// Lines of a failing run that are shown.
const SHOWN: usize = 120;

/// A run in which something that must hold did not.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Which seed.
    pub seed: u64,
    /// It was one of single copies alone.
    pub is_single: bool,
    /// What did not hold; the first word names the checker.
    pub complaint: String,
    /// The last things that happened.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tell(f, SHOWN)
    }
}

impl Failure {
    /// The last `lines` that happened, the complaint, and how to repeat it.
    ///
    /// # Errors
    /// When `out` refuses.
    pub fn tell(&self, out: &mut impl fmt::Write, lines: usize) -> fmt::Result {
        for line in &self.trace[self.trace.len().saturating_sub(lines)..] {
            writeln!(out, "{line}")?;
        }
        writeln!(out, "seed {}: {}", self.seed, self.complaint)?;
        let kind = if self.is_single { " --single" } else { "" };
        write!(out, "repeat with: cargo run -rp kogge-sim -- --from {} --seeds 1{kind}", self.seed)
    }
}

/// Runs what `scenario` stands for, with cores that are broken as `trick` says.
///
/// # Errors
/// The first thing that does not hold.
pub fn run(scenario: &Scenario, trick: Trick) -> Result<Tally, Box<Failure>> {
    let mut world = World::new(scenario, trick);
    let beginning = world.now;
    let result = live(&mut world, scenario);
    let complaint = world.checks.complaint().map(str::to_owned).or_else(|| result.err());
    let mut tally = world.tally;
    tally.simulated_ms = u64::try_from(world.now.saturating_since(beginning).as_millis()).unwrap_or(u64::MAX);
    match complaint {
        None => Ok(tally),
        Some(complaint) => {
            let (seed, is_single) = (scenario.seed, scenario.is_single);
            Err(Box::new(Failure { seed, is_single, complaint, trace: world.trace.tail(KEPT) }))
        }
    }
}

fn live(world: &mut World, scenario: &Scenario) -> Result<(), String> {
    world.run_until(world.now.plus(scenario.trouble));
    world.heal();
    settle(world)?;
    if let Some(amnesia) = scenario.amnesia {
        world.forget(amnesia);
        world.run_until(world.now.plus(TIME_TO_KILL));
    }
    Ok(())
}

fn settle(world: &mut World) -> Result<(), String> {
    let end = world.now.plus(TIME_TO_SETTLE);
    let mut settled_since = None;
    let mut why = String::new();
    while world.now < end && world.checks.complaint().is_none() {
        world.run_until(world.now.plus(Duration::from_secs(1)));
        match unsettled(world) {
            None => {
                let since = *settled_since.get_or_insert(world.now);
                if world.now.saturating_since(since) >= STAYS_SETTLED {
                    return Ok(());
                }
            }
            Some(reason) => {
                settled_since = None;
                why = reason;
            }
        }
    }
    Err(why)
}

fn unsettled(world: &World) -> Option<String> {
    let Some(server) = &world.server else { return Some("settle: no server leads".into()) };
    let late = world.machines.iter().filter(|machine| machine.node.is_some());
    let late = late.filter_map(|machine| check::late_acknowledgement(world.now, machine)).next();
    late.or_else(|| check::unsettled(server, &world.machines).map(|why| format!("settle: {why}")))
}
