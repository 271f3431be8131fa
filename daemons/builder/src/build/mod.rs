//! One build: the files of a commit, a Dockerfile, an image.

pub(crate) mod base;
mod command;
mod dockerfile;
pub(crate) mod run;
pub(crate) mod source;

pub use command::Buildah;
pub(crate) use run::{Job, Lines, build};

use kogge_model::reason::Reason;
use thiserror::Error;

/// Why there is no image.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BuildError {
    /// The commit is at fault; the text is for the pusher.
    #[error("{}", .0.text)]
    Commit(Reason),
    /// We or the machine are at fault.
    #[error("{}", .0.text)]
    Machine(Reason),
}

impl BuildError {
    /// What happened and what to do.
    #[must_use]
    pub const fn reason(&self) -> &Reason {
        match self {
            Self::Commit(reason) | Self::Machine(reason) => reason,
        }
    }
}
