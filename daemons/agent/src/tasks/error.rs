//! Why a task was not started.

use kogge_containers::bundle::BundleError;
use kogge_containers::image::ImageError;
use kogge_containers::network::NetworkError;
use kogge_containers::snapshot::SnapshotError;
use kogge_model::image::ImageRef;
use kogge_model::port::Port;
use kogge_model::reason::Reason;
use kogge_shim::client::{CleanupError, SpawnError};
use kogge_shim::config::ConfigError;
use thiserror::Error;

use crate::records::RecordError;
use crate::sentence;

/// The step that failed.
#[derive(Debug, Error)]
pub(crate) enum StartError {
    #[error("its start was given up")]
    Cancelled,
    #[error("cut off from the cluster for longer than the lease of its single copy")]
    LeaseOver,
    #[error("cannot make its directory")]
    Directory(#[source] std::io::Error),
    #[error("cannot clear away what an earlier start left")]
    Remains(#[source] CleanupError),
    #[error("host port {port} is still held by task {holder}")]
    PortHeld { port: Port, holder: String },
    #[error("cannot get its image {image}")]
    Image { image: ImageRef, source: Box<ImageError> },
    #[error("cannot tell whom to run as")]
    User(#[source] ImageError),
    #[error("cannot make its file system")]
    Snapshot(#[from] SnapshotError),
    #[error("cannot connect it to the network")]
    Network(#[from] NetworkError),
    #[error("cannot describe its container")]
    Bundle(#[from] BundleError),
    #[error("cannot write down its container")]
    Note(#[from] RecordError),
    #[error("cannot write down its container")]
    Config(#[from] ConfigError),
    #[error("cannot start its process")]
    Spawn(#[from] SpawnError),
}

impl StartError {
    /// The whole story for people.
    pub(crate) fn reason(&self) -> Reason {
        let reason = Reason::new(sentence::of(self));
        match self.hint() {
            Some(hint) => reason.with_hint(hint),
            None => reason,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Image { source, .. } => source.hint(),
            Self::User(source) => source.hint(),
            Self::Bundle(error) => error.hint(),
            Self::Network(error) => error.hint(),
            Self::Snapshot(SnapshotError::NoSpace { .. }) => {
                Some("remove images with `kogge image rm`, or give the data directory more room")
            }
            Self::PortHeld { .. } => Some("leave the host port out to be given a free one"),
            // The supervisor's own words for a program that cannot be executed.
            Self::Spawn(SpawnError::Refused(text)) if text.contains("cannot run ") => {
                Some("check the command, and that the image has the program")
            }
            _ => None,
        }
    }

    /// Whether this machine can never run such a task.
    pub(crate) const fn is_permanent(&self) -> bool {
        match self {
            Self::Bundle(error) => !matches!(error, BundleError::Write { .. }),
            Self::User(ImageError::UnknownUser { .. }) => true,
            _ => false,
        }
    }
}
