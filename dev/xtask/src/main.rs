//! Chores of the house, one file each. `cargo xtask` lists them.
//!
//! Owns what people and CI run besides cargo itself. Refuses to be shipped: nothing imports it.
//!
//! To add a chore: a file with its arguments and its `run`, and a line in the enum below.

mod bench;
mod campaign;
mod cluster;
mod dist;
mod program;
mod test_vm;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of the house")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Measures the house beside its peers; needs root, and the packages of `dev/packages bench`
    Bench(bench::Arguments),
    /// Lets things happen to clusters on this machine while they are used, by seed; needs root, and the packages of
    /// `dev/packages test`
    Campaign(campaign::Arguments),
    /// Starts a cluster on this machine and lets things happen to it; needs root, and the packages of `dev/packages test`
    Cluster(cluster::Arguments),
    /// Builds what is handed out: one static binary, its unit, digests, in target/dist
    Dist(dist::Arguments),
    /// Tries the static binary in a Debian machine of its own: limits, restarts, reboot, loss of power; needs root, and
    /// the packages of `dev/packages vm`
    TestVm(test_vm::Arguments),
    /// Checks the rules of the house that compilers do not know: walls, sizes, names, pure cores
    Tidy(tidy::Arguments),
}

#[expect(clippy::print_stderr, reason = "the last word of a chore that failed")]
fn main() -> ExitCode {
    let done = match Arguments::parse().chore {
        Chore::Bench(arguments) => bench::run(&arguments),
        Chore::Campaign(arguments) => campaign::run(&arguments),
        Chore::Cluster(arguments) => cluster::run(&arguments),
        Chore::Dist(arguments) => dist::run(&arguments),
        Chore::TestVm(arguments) => test_vm::run(&arguments),
        Chore::Tidy(arguments) => tidy::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
