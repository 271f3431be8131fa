//! `kogge-herd`: many simulated agents in one process, and the load that gives them something to do.
//!
//! The agents are the real ones as far as servers can tell: each has an identity of its own that it joined with, a
//! dialer over mutual TLS, and the true core of an agent. Only its machine is missing: what is started runs at once,
//! and nothing is written to a disk.
//!
//! ```text
//!  invite ─▶ join ─▶ ┌──────── agent ────────┐
//!                    │ dialer ⇄ core ⇄ faked │ × many ──▶ tally ──▶ lines of JSON on standard output
//!                    └───────────────────────┘
//!  load: deployments at a steady pace ──▶ when each was due, and answered
//! ```

mod agent;
mod enrol;
mod load;
mod tally;
mod tasks;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use kogge_host::tasks::{OnPanic, TaskGroup};

use tally::Tally;

/// Ten thousand agents share the machine with the servers that are measured; those of a real cluster do not. With the usual
/// allocator a quarter of their time goes into taking and giving back memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long everything may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Parser)]
#[command(name = "kogge-herd", about = "Many simulated agents in one process, and a load for them")]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Joins agents to a cloud and runs them until a signal comes or standard input ends
    Agents(Agents),
    /// Asks for services at a steady pace, however late the answers are
    Load(load::Load),
}

#[derive(Debug, clap::Args)]
struct Agents {
    /// The API's URLs, separated by commas
    #[arg(long)]
    api: String,
    /// How many agents
    #[arg(long)]
    count: usize,
    /// Before the numbers in their names
    #[arg(long, default_value = "h")]
    prefix: String,
    /// Where launches are written down: service, instance, microseconds since 1970
    #[arg(long, value_name = "FILE")]
    launches: PathBuf,
    /// They take no tasks: they only are there
    #[arg(long)]
    closed: bool,
    /// Between two lines of the tally
    #[arg(long, default_value_t = 100)]
    every_ms: u64,
}

#[expect(clippy::print_stderr, reason = "whoever started this program wants to know why it ended")]
fn main() -> ExitCode {
    // A socket for each agent.
    kogge_host::open_files::allow_most();
    let options = Options::parse();
    let done = match options.command {
        Command::Agents(agents) => runtime().and_then(|runtime| runtime.block_on(Box::pin(herd(&agents)))),
        Command::Load(load) => runtime().and_then(|runtime| runtime.block_on(Box::pin(load.run()))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kogge-herd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")
}

async fn herd(wish: &Agents) -> anyhow::Result<()> {
    let group = TaskGroup::new("herd");
    let tally = Arc::new(Tally::default());
    let launches = std::fs::File::create(&wish.launches)
        .with_context(|| format!("cannot write {}", wish.launches.display()))?;
    let telling = tally::tell(Arc::clone(&tally), launches, Duration::from_millis(wish.every_ms.max(10)));
    let token = group.token();
    group.spawn("tally", OnPanic::StopGroup, async move {
        tokio::select! {
            () = token.cancelled() => {}
            () = telling => {}
        }
    });
    enrol::all(wish, &tally, &group).await?;
    tokio::select! {
        () = standard_input_ends() => {}
        _ = tokio::signal::ctrl_c() => {}
        () = group.cancelled() => {}
    }
    drop(group.shutdown(PATIENCE).await);
    match group.has_failed() {
        Some(failed) => anyhow::bail!("{failed}"),
        None => Ok(()),
    }
}

/// The process that started this one holds the other end, and lets go of it however it ends.
async fn standard_input_ends() {
    let reading = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    let _ = reading.await;
}
