//! Why no bundle was written.

use std::path::PathBuf;

/// A spec that cannot or must not be run.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// There is nothing to run.
    #[error("the command is empty")]
    NoCommand,
    /// A text that the system would cut off.
    #[error("{field} has a zero byte or a line break in {text:?}")]
    BadText {
        /// Which field.
        field: &'static str,
        /// The text.
        text: String,
    },
    /// A path that must be absolute and plain.
    #[error("{field} must be an absolute path without `..`, not {}", path.display())]
    BadPath {
        /// Which field.
        field: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// A limit below what a process needs to start.
    #[error("the limit {field} of {value} is below the least useful one, {least}")]
    TooSmall {
        /// Which limit.
        field: &'static str,
        /// As asked for.
        value: u64,
        /// The least.
        least: u64,
    },
    /// A mount over what keeps the container apart.
    #[error("nothing may be mounted at {}: the container's own devices and kernel files are there", path.display())]
    ReservedMount {
        /// The target.
        path: PathBuf,
    },
    /// Root on the machine's own files.
    #[error("a command without an image cannot run as root")]
    RootOnHost,
    /// The spec did not fit the runtime's format.
    #[error("could not build the runtime spec")]
    Build {
        /// What the format said.
        #[from]
        source: oci_spec::OciSpecError,
    },
    /// The disk refused.
    #[error("could not write {}", path.display())]
    Write {
        /// What was being written.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl BundleError {
    /// A sentence on what to do about it, if there is something to do.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoCommand => Some("the image has no default command: give one with --command"),
            Self::RootOnHost => {
                Some("leave the user out to run as nobody, or give an image to run as root in")
            }
            _ => None,
        }
    }
}
