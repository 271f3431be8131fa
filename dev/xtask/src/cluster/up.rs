//! `cluster up`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use kogge_testkit::cluster::{Bed, Engine, Plan};

use crate::program::{self, talk};
use crate::tidy::root;

/// Arguments of `cargo xtask cluster up`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What holds the state: etcd or zookeeper
    #[arg(long, value_name = "ENGINE", default_value = "etcd")]
    state: Engine,
    /// How many members the engine has
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    engines: usize,
    /// How many servers there are
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    servers: usize,
    /// How many agents there are
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    agents: usize,
    /// Runs this program instead of building one
    #[arg(long, value_name = "PROGRAM")]
    kogge: Option<PathBuf>,
    /// The profile to build with
    #[arg(long, value_name = "PROFILE", default_value = "dev")]
    profile: String,
    /// Gives a node a disk of its own, of so many MiB, which `fault fill` fills
    #[arg(long, value_name = "NODE=MIB", value_parser = disk)]
    disk: Vec<(String, u64)>,
    /// Gives servers and agents clocks that `fault clock` shifts; needs a C compiler, and a program that is not static
    #[arg(long)]
    clocks: bool,
    /// Leaves what was started when the rest cannot be
    #[arg(long)]
    keep: bool,
}

/// Starts it; what fails halfway is taken away again.
pub(super) fn run(arguments: &Arguments, file: &Path) -> anyhow::Result<()> {
    if file.exists() {
        bail!("a cluster is up already: {}\n\nhint: cargo xtask cluster down", file.display());
    }
    let begin = Instant::now();
    let tell = |text: &str| talk(&format!("cluster: {:>5.1} s  {text}", begin.elapsed().as_secs_f64()));
    let kogge = kogge(arguments)?;
    tell(&format!("the program is {}", kogge.display()));
    let plan = Plan {
        engine: arguments.state,
        engines: arguments.engines,
        servers: arguments.servers,
        agents: arguments.agents,
        disks: arguments.disk.iter().cloned().collect(),
        has_clocks: arguments.clocks,
        ..Plan::new(&kogge)
    };
    let folder = file.parent().context("the file of the cluster lies nowhere")?;
    std::fs::create_dir_all(folder)?;
    let mut bed = Bed::by_hand(file)?;
    let built = plan.build(&mut bed, &mut |text| tell(text));
    if built.is_ok() || arguments.keep {
        bed.keep();
    }
    built.context("the cluster does not come up")?;
    tell(&format!("up; {} says where everything is", file.display()));
    Ok(())
}

fn kogge(arguments: &Arguments) -> anyhow::Result<PathBuf> {
    if let Some(path) = &arguments.kogge {
        return path.canonicalize().with_context(|| format!("no program at {}", path.display()));
    }
    program::built(&root(), &arguments.profile, &["-p", "kogge", "--bin", "kogge"], "kogge")
}

fn disk(text: &str) -> Result<(String, u64), String> {
    let refused = || format!("{text:?} is not like s1=256: a node and a size in MiB");
    let (node, mib) = text.split_once('=').ok_or_else(refused)?;
    let mib: u64 = mib.parse().map_err(|_| refused())?;
    if (16..=1 << 20).contains(&mib) { Ok((node.to_owned(), mib)) } else { Err(refused()) }
}
