//! What can go wrong with a bed.

use std::io;
use std::path::Path;
use std::time::Duration;

/// Why a bed is not as it was asked to be.
#[derive(Debug, thiserror::Error)]
pub enum BedError {
    /// The operating system refused.
    #[error("cannot {what}")]
    Io {
        /// What was attempted.
        what: String,
        /// Why it did not happen.
        source: io::Error,
    },
    /// A program of the machine failed.
    #[error("{program} failed: {said}")]
    Program {
        /// With its words.
        program: String,
        /// What it said on standard error.
        said: String,
    },
    /// A condition did not come true in time.
    #[error("waited {waited:?} in vain until {what}{}", after_colon(.said))]
    NotReady {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
        /// The last thing that was seen, if any.
        said: String,
    },
    /// The process of a node is gone, and nobody ended it.
    #[error("{node} has ended by itself{}", after_colon(.said))]
    Ended {
        /// Its name.
        node: String,
        /// The end of its log.
        said: String,
    },
    /// No node has that name.
    #[error("there is no node {name}, but there are {known}")]
    NoNode {
        /// The name.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// What was asked for cannot be done with this bed.
    #[error("{0}")]
    Refused(String),
    /// Not all of the bed could be taken away.
    #[error("left behind: {}", .0.join("; "))]
    LeftBehind(Vec<String>),
}

fn after_colon(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

impl BedError {
    /// For `map_err`: what was attempted.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// For `map_err`: what was attempted with which file.
    pub(crate) fn file(what: &str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        Self::io(format!("{what} {}", path.display()))
    }
}
