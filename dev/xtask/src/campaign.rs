//! `cargo xtask campaign`: things happen to clusters on this machine, on etcd and on ZooKeeper, by seed.
//!
//! The rows are those of `kogge_testkit::campaign`. What does not pass is told with the line that repeats it.

mod report;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::builder::PossibleValuesParser;
use kogge_testkit::campaign::{Row, Trial, rows};
use kogge_testkit::cluster::Engine;

use crate::program::{self, talk};
use crate::tidy::root;
use report::Played;

/// Arguments of `cargo xtask campaign`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many seeds each row is played with
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    from: u64,
    /// Play only these rows
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = PossibleValuesParser::new(rows::ALL.iter().map(|row| row.name)))]
    only: Vec<String>,
    /// Play on this engine only: etcd or zookeeper
    #[arg(long, value_name = "ENGINE")]
    state: Option<Engine>,
    /// Try this program instead of building one
    #[arg(long, value_name = "PROGRAM")]
    kogge: Option<PathBuf>,
    /// The other version for upgrades and downgrades [default: the same]
    #[arg(long, value_name = "PROGRAM")]
    other: Option<PathBuf>,
    /// Play with these simulated agents instead of building them
    #[arg(long, value_name = "PROGRAM")]
    herd: Option<PathBuf>,
    /// The profile to build with
    #[arg(long, value_name = "PROFILE", default_value = "dev")]
    profile: String,
}

/// The programs of the row with thousands of agents. Two cores are enough for these only if they are built as what is
/// handed out.
struct Crowd {
    kogge: PathBuf,
    herd: PathBuf,
}

impl Crowd {
    const PROFILE: &str = "shipped";

    fn of(arguments: &Arguments) -> anyhow::Result<Self> {
        let built = |name: &str| program::built(&root(), Self::PROFILE, &["-p", name, "--bin", name], name);
        let kogge = arguments.kogge.as_deref().map_or_else(|| built("kogge"), found)?;
        let herd = arguments.herd.as_deref().map_or_else(|| built("kogge-herd"), found)?;
        Ok(Self { kogge, herd })
    }
}

/// Plays them, prints the table, writes `target/campaign.json`. Fails when a row does not pass.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let kogge = match &arguments.kogge {
        Some(path) => found(path)?,
        None => program::built(&root(), &arguments.profile, &["-p", "kogge", "--bin", "kogge"], "kogge")?,
    };
    let other = arguments.other.as_deref().map_or_else(|| Ok(kogge.clone()), found)?;
    let is_asked =
        |row: &&Row| arguments.only.is_empty() || arguments.only.iter().any(|only| only == row.name);
    let crowd = match rows::ALL.iter().filter(is_asked).any(Row::needs_herd) {
        true => Some(Crowd::of(arguments)?),
        false => None,
    };
    let target = root().join("target");
    std::fs::create_dir_all(&target)?;
    let (file, logs) = (target.join("campaign.json"), target.join("campaign"));
    let engines =
        arguments.state.map_or_else(|| vec![Engine::Etcd, Engine::ZooKeeper], |engine| vec![engine]);
    let mut played: Vec<Played> = Vec::new();
    report::head();
    for seed in (0..arguments.seeds).map(|count| arguments.from.wrapping_add(count)) {
        for engine in engines.iter().copied() {
            for row in rows::ALL.iter().filter(is_asked) {
                let crowd = crowd.as_ref().filter(|_| row.needs_herd());
                let kogge = crowd.map_or(&kogge, |crowd| &crowd.kogge).clone();
                let herd = crowd.map(|crowd| crowd.herd.clone());
                let (other, logs) = (other.clone(), Some(logs.clone()));
                let trial = Trial { kogge, other, engine, seed, slack: 1, herd, logs };
                played.push(Played::by(row, &trial));
                // After each: a campaign that is broken off has told what it had.
                report::write(&file, &played)?;
            }
        }
    }
    let failed = played.iter().filter(|one| !one.report.passes).count();
    talk(&format!("campaign: {} of {} passed; {}", played.len() - failed, played.len(), file.display()));
    if failed > 0 {
        bail!("{failed} rows did not pass; logs of their nodes lie in {}", logs.display());
    }
    Ok(())
}

fn found(path: &Path) -> anyhow::Result<PathBuf> {
    path.canonicalize().with_context(|| format!("no program at {}", path.display()))
}
