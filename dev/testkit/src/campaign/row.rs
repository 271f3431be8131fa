//! A row of the campaign, and how it is played.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::Duration;

use super::stage::START;
use super::{Miss, Stage};
use crate::cluster::{Bed, Engine, Plan, Role};

/// One thing that happens to a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// What happens: `leader-killed`.
    pub name: &'static str,
    /// Which promises it tries.
    pub promises: &'static str,
    /// What the cluster needs beside what all have.
    pub shape: fn(&mut Plan),
    /// Lets it happen, and judges it. Gives the figures that were measured.
    pub play: fn(&mut Stage) -> Result<String, Miss>,
    /// Normal service is back so long after `play`.
    pub back: Duration,
}

/// On what a row is played.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The program.
    pub kogge: PathBuf,
    /// Another build of it, for upgrades; may be the same.
    pub other: PathBuf,
    /// What holds the state.
    pub engine: Engine,
    /// Of the dice.
    pub seed: u64,
    /// How many times longer than promised everything may take: 1, but where other things go on as well.
    pub slack: u32,
    /// The simulated agents (`kogge-herd`), for the row that needs them.
    pub herd: Option<PathBuf>,
    /// Logs of rows that do not pass are kept here.
    pub logs: Option<PathBuf>,
}

/// What became of a row.
#[derive(Debug, Clone)]
pub struct Report {
    /// Whether everything was as promised.
    pub passes: bool,
    /// What was measured.
    pub figure: String,
    /// Why it does not pass.
    pub why: Option<String>,
}

impl Row {
    /// Whether it is played with the simulated agents.
    #[must_use]
    pub fn needs_herd(&self) -> bool {
        self.name == super::rows::HERD
    }

    /// Plays it; leaves nothing behind.
    #[must_use]
    pub fn run(&self, trial: &Trial) -> Report {
        // The harness panics where it must not go on; the next row is still worth playing.
        let played = catch_unwind(AssertUnwindSafe(|| self.attempt(trial)));
        let mut figure = String::new();
        let why = match played {
            Ok(Ok(measured)) => {
                figure = measured;
                None
            }
            Ok(Err(miss)) => Some(miss.to_string()),
            Err(_) => Some("the harness panicked, see above".to_owned()),
        };
        Report { passes: why.is_none(), figure, why }
    }

    fn attempt(&self, trial: &Trial) -> Result<String, Miss> {
        let mut plan = Plan { engine: trial.engine, agents: 3, ..Plan::new(&trial.kogge) };
        (self.shape)(&mut plan);
        let bed = Bed::for_test()?;
        let mut stage = match Stage::set(bed, &plan, trial) {
            Ok(stage) => stage,
            Err((bed, miss)) => {
                self.keep_logs(trial, &bed);
                return Err(Miss::new(format!("the cluster does not come up: {miss}")));
            }
        };
        let played = stage.settle(START).and_then(|_| (self.play)(&mut stage)).and_then(|measured| {
            let back = stage.settle(self.back)?;
            Ok(format!("{measured}, normal after {:.1} s", back.as_secs_f64()))
        });
        if played.is_err() {
            self.keep_logs(trial, &stage.bed);
        }
        match played {
            Ok(measured) => Ok(format!("{measured}; {}", stage.end()?)),
            // What clients have seen until then may be worse than what did not come.
            Err(miss) => match stage.end() {
                Ok(seen) => Err(Miss::new(format!("{miss} ({seen})"))),
                Err(worse) => Err(Miss::new(format!("{miss}; {worse}"))),
            },
        }
    }

    fn keep_logs(&self, trial: &Trial, bed: &Bed) {
        let Some(folder) = &trial.logs else { return };
        let folder = folder.join(format!("{}-{:?}-{}", self.name, trial.engine, trial.seed).to_lowercase());
        // Whoever looks for them sees that they are not there.
        let _ = std::fs::create_dir_all(&folder);
        for node in [Role::Engine, Role::Server, Role::Agent].into_iter().flat_map(|role| bed.nodes(role)) {
            let _ =
                std::fs::copy(bed.record().directory.join(&node.name).join("log"), folder.join(&node.name));
        }
    }
}
