//! What the benchmarks have in common: the programs to measure, a place for files.

use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

use crate::program;

/// See the module.
pub(crate) struct Lab {
    root: PathBuf,
    profile: String,
    kogge: Option<PathBuf>,
    scratch: TempDir,
    herd: Option<PathBuf>,
    herd_size: (usize, usize),
}

impl Lab {
    /// `kogge` is measured instead of one built here.
    pub(crate) fn open(root: &Path, profile: &str, kogge: Option<PathBuf>) -> anyhow::Result<Self> {
        // On the disk of the build, and not on a temporary file system: some benchmarks wait for the disk.
        let target = root.join("target");
        std::fs::create_dir_all(&target)?;
        let scratch = tempfile::Builder::new().prefix("bench-").tempdir_in(&target)?;
        Ok(Self {
            root: root.to_owned(),
            profile: profile.to_owned(),
            kogge,
            scratch,
            herd: None,
            herd_size: (0, 0),
        })
    }

    /// How large the herd is; `herd` is used instead of one built here.
    pub(crate) fn with_herd(self, herd: Option<PathBuf>, herd_size: (usize, usize)) -> Self {
        Self { herd, herd_size, ..self }
    }

    /// Simulated agents, and the instances on them.
    pub(crate) const fn herd_size(&self) -> (usize, usize) {
        self.herd_size
    }

    /// A place for files that goes with the bench.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// The program to measure.
    pub(crate) fn kogge(&self) -> anyhow::Result<PathBuf> {
        match &self.kogge {
            Some(path) => path.canonicalize().with_context(|| format!("no program at {}", path.display())),
            None => self.build(&["-p", "kogge", "--bin", "kogge"], "kogge"),
        }
    }

    /// A program of the simulator's crate.
    pub(crate) fn simulator(&self) -> anyhow::Result<PathBuf> {
        self.build(&["-p", "kogge-sim", "--bin", "kogge-sim"], "kogge-sim")
    }

    /// The simulated agents.
    pub(crate) fn herd(&self) -> anyhow::Result<PathBuf> {
        match &self.herd {
            Some(path) => path.canonicalize().with_context(|| format!("no program at {}", path.display())),
            None => self.build(&["-p", "kogge-herd", "--bin", "kogge-herd"], "kogge-herd"),
        }
    }

    /// An example of a crate, which measures that crate alone.
    pub(crate) fn example(&self, package: &str, name: &str) -> anyhow::Result<PathBuf> {
        self.build(&["-p", package, "--example", name], &format!("examples/{name}"))
    }

    fn build(&self, what: &[&str], program: &str) -> anyhow::Result<PathBuf> {
        program::built(&self.root, &self.profile, what, program)
    }
}
