//! Why no base image was made.

use crate::image::ImageError;

/// A failed build of a base image.
#[derive(Debug, thiserror::Error)]
pub enum BaseImageError {
    /// A part of the wish is no such thing.
    #[error("{text:?} is not a {what}")]
    Bad {
        /// `suite`, `package` or `mirror`.
        what: &'static str,
        /// As given.
        text: String,
    },
    /// `mmdebstrap` is missing.
    #[error("the program mmdebstrap is missing")]
    NoProgram {
        /// What the system said.
        source: std::io::Error,
    },
    /// `mmdebstrap` could not be started or waited for.
    #[error("could not run mmdebstrap")]
    Run {
        /// What the system said.
        source: std::io::Error,
    },
    /// It took longer than allowed.
    #[error("mmdebstrap did not end within {minutes} minutes")]
    TooSlow {
        /// The bound.
        minutes: u64,
    },
    /// It failed.
    #[error("mmdebstrap failed: {message}")]
    Failed {
        /// Its last complaint.
        message: String,
    },
    /// The result could not be stored.
    #[error("could not store the base image")]
    Store {
        /// Why.
        #[from]
        source: ImageError,
    },
}

impl BaseImageError {
    /// A sentence on what to do about it, if there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoProgram { .. } => Some("install it: apt-get install mmdebstrap"),
            Self::Failed { .. } => {
                Some("check the suite's and the packages' names, and that apt-get update works here")
            }
            Self::Store { source } => source.hint(),
            _ => None,
        }
    }
}
