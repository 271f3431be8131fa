//! `cluster exec`.

use std::os::unix::process::CommandExt;
use std::path::Path;

use anyhow::Context;
use kogge_testkit::cluster::{Namespace, Record, words};

use super::must_be_up;

/// Arguments of `cargo xtask cluster exec`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The node; without, the command runs where the clients are
    node: Option<String>,
    /// The command; `kogge` is the program of the cluster
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Becomes the command.
pub(super) fn run(arguments: &Arguments, file: &Path) -> anyhow::Result<()> {
    must_be_up(file)?;
    let record = Record::read(file)?;
    let (program, words) = arguments.command.split_first().context("a command is required")?;
    let mut paths = vec![record.directory.join("bin")];
    paths.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let namespace = match &arguments.node {
        Some(node) => record.node(node)?.network(),
        None => Namespace::named(&record.client.namespace),
    };
    let mut command = namespace.command(program);
    command.args(words).env("PATH", std::env::join_paths(paths)?);
    match &arguments.node {
        Some(node) => {
            command.env(words::DATA, &record.node(node)?.data).env_remove(words::API);
        }
        None => {
            command.envs(&record.client.env);
        }
    }
    Err(command.exec()).context("cannot enter the network")
}
