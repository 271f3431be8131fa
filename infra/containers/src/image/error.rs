//! What can go wrong with images, told by what was attempted.

use std::io;
use std::path::{Path, PathBuf};

use kogge_model::digest::Digest;

/// A failed image operation.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The text is not an image name.
    #[error("{text:?} is not an image name: {why}")]
    BadReference {
        /// As it was given.
        text: String,
        /// The broken rule.
        why: &'static str,
    },
    /// No record of that name or digest.
    #[error("image {reference} is not in the store")]
    NotFound {
        /// The name or digest asked for.
        reference: String,
    },
    /// Content is not what its digest promised.
    #[error("{what} has digest {actual}, expected {expected}")]
    DigestMismatch {
        /// Which content.
        what: String,
        /// The promise.
        expected: Digest,
        /// The truth.
        actual: Digest,
    },
    /// A document or archive breaks its format.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// Which content.
        what: String,
        /// The broken rule.
        why: String,
    },
    /// A layer tries something that no honest layer needs.
    #[error("the layer entry {entry:?} was refused: {why}")]
    Hostile {
        /// The entry's path, shortened.
        entry: String,
        /// What it tried.
        why: &'static str,
    },
    /// A bound was reached while reading.
    #[error("{what} is larger than the bound of {limit} {unit}")]
    TooLarge {
        /// Which content.
        what: String,
        /// The bound.
        limit: u64,
        /// What is counted: `bytes`, `entries`, `times its packed size`.
        unit: &'static str,
    },
    /// Valid, but not something that can run or be read here.
    #[error("{what} is not supported: {why}")]
    Unsupported {
        /// Which content.
        what: String,
        /// What is missing.
        why: String,
    },
    /// The registry refused, failed or could not be reached.
    #[error("could not pull {reference} from its registry")]
    Registry {
        /// The image asked for.
        reference: String,
        /// What the registry or the way to it said.
        source: Box<oci_client::errors::OciDistributionError>,
    },
    /// A user or group of the spec is not in the image.
    #[error("no {kind} {name:?} in the image")]
    UnknownUser {
        /// `user` or `group`.
        kind: &'static str,
        /// As it was given.
        name: String,
    },
    /// The disk is full.
    #[error("no space left while writing {}", path.display())]
    NoSpace {
        /// What was being written.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("could not {action} {}", path.display())]
    Io {
        /// A verb.
        action: &'static str,
        /// The object of the verb.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Reading the source of an image failed half-way.
    #[error("could not read {what}")]
    Read {
        /// Which content.
        what: String,
        /// What the reader said.
        source: io::Error,
    },
}

impl ImageError {
    /// A sentence on what to do about it, if there is something to do.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotFound { .. } => {
                Some("see what is there with `kogge image list`, add one with `kogge image load`")
            }
            Self::NoSpace { .. } => {
                Some("remove images with `kogge image rm`, or give the data directory more room")
            }
            Self::Registry { .. } => Some("check the name, the way to the registry and its credentials"),
            Self::UnknownUser { .. } => {
                Some("give a numeric id such as 1000:1000, or add the user to the image")
            }
            Self::BadReference { .. } => {
                Some("names look like hello:1, shop/web or 127.0.0.1:5000/shop@sha256:…")
            }
            _ => None,
        }
    }

    /// Maps a failed system call on `path`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { path },
            _ => Self::Io { action, path, source },
        }
    }

    /// Maps a failed read of `what`, unwrapping an error of ours that travelled through `Read`.
    pub(crate) fn read(what: &str) -> impl FnOnce(io::Error) -> Self + use<> {
        let what = what.to_owned();
        move |source| match source.downcast::<Self>() {
            Ok(own) => own,
            Err(source) => Self::Read { what, source },
        }
    }

    pub(crate) fn malformed(what: impl Into<String>, why: impl ToString) -> Self {
        Self::Malformed { what: what.into(), why: why.to_string() }
    }

    pub(crate) fn hostile(entry: &[u8], why: &'static str) -> Self {
        let shown = String::from_utf8_lossy(&entry[..entry.len().min(200)]).into_owned();
        Self::Hostile { entry: shown, why }
    }

    /// Wraps for a way through `Read`; see [`ImageError::read`].
    pub(crate) fn into_io(self) -> io::Error {
        io::Error::other(self)
    }
}
