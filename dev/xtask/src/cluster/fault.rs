//! `cluster fault`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use kogge_testkit::cluster::{Bed, Direction, Fault, Percent, Rate, Shift};

use super::must_be_up;
use crate::program::talk;

/// What can happen to a node.
#[derive(clap::Subcommand)]
pub(crate) enum Chore {
    /// Kills its process; what supervises its tasks lives on
    Kill {
        node: String,
        /// Supervisors and tasks too, as if the machine had died
        #[arg(long)]
        with_tasks: bool,
    },
    /// Lets its process stand still
    Pause {
        node: String,
        /// Supervisors and tasks too
        #[arg(long)]
        with_tasks: bool,
    },
    /// Lets everything on it go on
    Resume { node: String },
    /// Lets nothing through its link, and tells nobody
    Cut {
        node: String,
        /// Only what comes in, or what goes out
        #[arg(long, value_name = "in|out", value_parser = direction)]
        direction: Option<Direction>,
        /// Only from and to this node
        #[arg(long, value_name = "NODE")]
        peer: Option<String>,
    },
    /// Loses so many percent of the packets on its link, each way
    Loss { node: String, percent: Percent },
    /// Lets no more through its link, each way: 500kbit, 10mbit
    Bandwidth { node: String, rate: Rate },
    /// Loses packets of more than so many bytes on its link, each way, and tells nobody
    Packets { node: String, bytes: u16 },
    /// Makes its wall clock wrong: +1d, -3h; needs a cluster with --clocks
    #[command(allow_negative_numbers = true)]
    Clock {
        node: String,
        #[arg(allow_hyphen_values = true)]
        shift: Shift,
    },
    /// Fills its disk; needs a cluster with --disk NODE=MIB
    Fill { node: String },
    /// Puts its link, clock and disk in order
    Heal { node: String },
    /// Ends its process in good order, if it runs, and starts it again
    Restart {
        node: String,
        /// With this program from now on: another version
        #[arg(long, value_name = "PROGRAM")]
        kogge: Option<PathBuf>,
    },
}

impl Chore {
    fn fault(&self) -> (&str, Fault) {
        match self {
            Self::Kill { node, with_tasks } => (node, Fault::Kill { with_tasks: *with_tasks }),
            Self::Pause { node, with_tasks } => (node, Fault::Pause { with_tasks: *with_tasks }),
            Self::Resume { node } => (node, Fault::Resume),
            Self::Cut { node, direction, peer } => {
                (node, Fault::Cut { direction: *direction, peer: peer.clone() })
            }
            Self::Loss { node, percent } => (node, Fault::Loss(*percent)),
            Self::Bandwidth { node, rate } => (node, Fault::Bandwidth(*rate)),
            Self::Packets { node, bytes } => (node, Fault::Packets(*bytes)),
            Self::Clock { node, shift } => (node, Fault::Clock(*shift)),
            Self::Fill { node } => (node, Fault::Fill),
            Self::Heal { node } => (node, Fault::Heal),
            Self::Restart { node, kogge } => (node, Fault::Restart { program: kogge.clone() }),
        }
    }
}

/// It has happened when this returns.
pub(super) fn run(chore: &Chore, file: &Path) -> anyhow::Result<()> {
    must_be_up(file)?;
    let mut bed = Bed::open(file)?;
    let (node, fault) = chore.fault();
    bed.fault(node, &fault).with_context(|| format!("{node} is spared"))?;
    let node = bed.node(node)?;
    talk(&format!("cluster: {}", super::status::line(node)));
    Ok(())
}

fn direction(text: &str) -> Result<Direction, String> {
    match text {
        "in" => Ok(Direction::In),
        "out" => Ok(Direction::Out),
        _ => Err("choose in or out".into()),
    }
}
