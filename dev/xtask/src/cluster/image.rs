//! `cluster image`.

use std::path::Path;

use anyhow::Context;
use kogge_testkit::cluster::{Record, Role, words};

use super::must_be_up;
use crate::program::{output, talk};

/// Arguments of `cargo xtask cluster image`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What the image is called
    name: String,
}

/// Loads a small image at the first server that runs: machines of the cluster reach no registry.
pub(super) fn run(arguments: &Arguments, file: &Path) -> anyhow::Result<()> {
    must_be_up(file)?;
    let record = Record::read(file)?;
    let mut servers = record.nodes.iter().filter(|node| node.role == Role::Server);
    let server = servers.find(|node| node.pid.is_some()).context("no server runs")?;
    let scratch = tempfile::tempdir()?;
    let archive = scratch.path().join("busybox.tar");
    kogge_testkit::image::busybox(&archive);
    let mut command = server.network().command(record.directory.join("bin/kogge"));
    command.args(["image", "load"]).arg(&archive).args(["--name", &arguments.name]);
    output(command.env(words::DATA, &server.data).env_remove(words::API))?;
    talk(&format!("cluster: {} is loaded at {}", arguments.name, server.name));
    Ok(())
}
