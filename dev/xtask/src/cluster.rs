//! `cargo xtask cluster`: servers, agents and an engine on this machine, each in a network of its own, by hand.
//!
//! The machines, links and faults are those of the tests: `kogge_testkit::cluster`. The cluster is found again by its
//! file, `target/cluster.json`, which also tells programs where everything is.

mod exec;
mod fault;
mod image;
mod status;
mod up;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use kogge_testkit::cluster::{self, Bed};

use crate::program::talk;
use crate::tidy::root;

/// Arguments of `cargo xtask cluster`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The file of the cluster: where it is, for programs [default: target/cluster.json]
    #[arg(long, value_name = "FILE", global = true)]
    file: Option<PathBuf>,
    #[command(subcommand)]
    chore: Chore,
}

#[derive(clap::Subcommand)]
enum Chore {
    /// Starts a cluster and waits until it is ready
    Up(up::Arguments),
    /// Lists its nodes and what is wrong with them
    Status,
    /// Lets something happen to a node
    #[command(subcommand)]
    Fault(fault::Chore),
    /// Runs a command where the clients are, or on a node: `cluster exec [NODE] -- COMMAND…`
    Exec(exec::Arguments),
    /// Loads a small image with a shell and a web server, under a name
    Image(image::Arguments),
    /// Ends the cluster and takes everything away
    Down,
    /// Ends clusters that killed tests have left
    Sweep,
}

/// Does one of them.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let file = arguments.file.clone().unwrap_or_else(|| root().join("target/cluster.json"));
    match &arguments.chore {
        Chore::Up(arguments) => up::run(arguments, &file),
        Chore::Status => status::run(&file),
        Chore::Fault(chore) => fault::run(chore, &file),
        Chore::Exec(arguments) => exec::run(arguments, &file),
        Chore::Image(arguments) => image::run(arguments, &file),
        Chore::Down => down(&file),
        Chore::Sweep => {
            for tag in cluster::sweep()? {
                talk(&format!("cluster: {tag} was left by a test and is gone"));
            }
            Ok(())
        }
    }
}

fn down(file: &Path) -> anyhow::Result<()> {
    let begin = Instant::now();
    must_be_up(file)?;
    Bed::open(file)?.down().context("cannot end the cluster")?;
    talk(&format!("cluster: down, nothing is left, {:.1} s", begin.elapsed().as_secs_f64()));
    Ok(())
}

fn must_be_up(file: &Path) -> anyhow::Result<()> {
    if !file.exists() {
        bail!("no cluster is up: there is no {}\n\nhint: cargo xtask cluster up", file.display());
    }
    Ok(())
}
