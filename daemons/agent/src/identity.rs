//! Who this agent is, for as long as its data directory lives.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use kogge_model::id::{AgentId, ClusterId};
use kogge_node::AgentRecord;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::records::{self, RecordError};

const IDENTITY_FILE: &str = "agent.json";
const LOCK_FILE: &str = "agent.lock";

/// The version of the data directory that this code writes.
const DATA_VERSION: u32 = 1;

/// Why a data directory cannot be used.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// Something in it cannot be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Another process uses it.
    #[error("another agent runs on {}", path.display())]
    Taken {
        /// The directory.
        path: PathBuf,
    },
    /// It was written by newer code.
    #[error("{} has data version {version}, this program knows up to {DATA_VERSION}", path.display())]
    Newer {
        /// The file that says so.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// The agent belongs elsewhere.
    #[error("{} belongs to cluster {found}, not to {wanted}", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        found: ClusterId,
        /// Whose it should be.
        wanted: ClusterId,
    },
    /// The agent is another one.
    #[error("{} is that of {found}, and the certificate beside it that of {wanted}", path.display())]
    Other {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        found: AgentId,
        /// Whose it should be.
        wanted: AgentId,
    },
    /// No chance to be had for a new identity.
    #[error("cannot draw a new identity")]
    Chance(#[source] std::io::Error),
}

impl IdentityError {
    /// What to do about it, if there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Record(error) => error.hint(),
            Self::Taken { .. } => Some("stop the other one, or name another data directory".into()),
            Self::Newer { .. } => Some("use the newer program, or another data directory".into()),
            Self::Foreign { .. } => Some("name another data directory".into()),
            Self::Other { .. } => Some(
                "put back what belongs together, or remove the data directory and join again: its tasks end, others \
                 start elsewhere"
                    .into(),
            ),
            Self::Chance(_) => None,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u32,
    agent: AgentId,
    /// The boot in which this directory was last used.
    boot_id: String,
}

/// A data directory that is ours alone while this lives.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) agent: AgentId,
    /// Whether the machine has rebooted since the directory was last used.
    pub(crate) is_after_reboot: bool,
    lock: File,
}

impl Drop for Identity {
    /// Processes that are just being started hold a copy of every open file: closing ours would not be enough.
    fn drop(&mut self) {
        if let Err(errno) = rustix::fs::flock(&self.lock, FlockOperation::Unlock) {
            tracing::warn!(%errno, "the lock of a data directory was not given back");
        }
    }
}

impl Identity {
    /// Takes `data` for its agent, who must be the one that is `wanted`; a new one gets an identity.
    pub(crate) fn open(data: &Path, boot_id: &str, wanted: Option<&AgentId>) -> Result<Self, IdentityError> {
        fs::create_dir_all(data).map_err(RecordError::io("make", data))?;
        let lock = lock(data)?;
        let path = data.join(IDENTITY_FILE);
        let known: Option<Document> = records::read(&path)?;
        if let Some(document) = known.as_ref().filter(|document| document.version > DATA_VERSION) {
            return Err(IdentityError::Newer { path, version: document.version });
        }
        let is_after_reboot = known.as_ref().is_some_and(|document| document.boot_id != boot_id);
        let agent = match (&known, wanted) {
            (Some(Document { agent: found, .. }), Some(wanted)) if found != wanted => {
                let (path, found, wanted) = (data.to_owned(), found.clone(), wanted.clone());
                return Err(IdentityError::Other { path, found, wanted });
            }
            (Some(document), _) => document.agent.clone(),
            (None, Some(wanted)) => wanted.clone(),
            (None, None) => mint()?,
        };
        if known.is_none() || is_after_reboot {
            let document =
                Document { version: DATA_VERSION, agent: agent.clone(), boot_id: boot_id.to_owned() };
            records::replace_durably(&path, &document)?;
        }
        Ok(Self { agent, is_after_reboot, lock })
    }
}

/// The id of the agent whose directory `data` is; a new directory gets one.
///
/// # Errors
/// When another agent runs on it, or it cannot be used.
pub fn agent_id(data: &Path) -> Result<AgentId, IdentityError> {
    fs::create_dir_all(data).map_err(RecordError::io("make", data))?;
    let known: Option<Document> = records::read(&data.join(IDENTITY_FILE))?;
    match known {
        Some(document) if document.version <= DATA_VERSION => Ok(document.agent),
        _ => {
            let boot_id = crate::machine::boot_id().map_err(RecordError::io("read", data))?;
            Ok(Identity::open(data, &boot_id, None)?.agent.clone())
        }
    }
}

/// Refuses a directory of another cluster than `wanted`.
pub(crate) fn check_cluster(
    data: &Path,
    record: &AgentRecord,
    wanted: Option<&ClusterId>,
) -> Result<(), IdentityError> {
    match (&record.cluster, wanted) {
        (Some(found), Some(wanted)) if found != wanted => Err(IdentityError::Foreign {
            path: data.to_owned(),
            found: found.clone(),
            wanted: wanted.clone(),
        }),
        _ => Ok(()),
    }
}

fn lock(data: &Path) -> Result<File, IdentityError> {
    let path = data.join(LOCK_FILE);
    let file = File::options().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(RecordError::io("open", &path))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(IdentityError::Taken { path: data.to_owned() }),
        Err(errno) => Err(RecordError::io("lock", &path)(errno.into()).into()),
    }
}

fn mint() -> Result<AgentId, IdentityError> {
    let chance = kogge_host::seed::draw().map_err(IdentityError::Chance)?;
    let mut text = String::from("agent-");
    for byte in &chance[..6] {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
    }
    Ok(AgentId::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_stays_with_its_directory_and_a_second_user_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let first = Identity::open(dir.path(), "boot-1", None).unwrap();
        assert!(matches!(Identity::open(dir.path(), "boot-1", None), Err(IdentityError::Taken { .. })));
        let agent = first.agent.clone();
        drop(first);
        let second = Identity::open(dir.path(), "boot-1", None).unwrap();
        assert!(second.agent == agent && !second.is_after_reboot);
        drop(second);
        assert!(Identity::open(dir.path(), "boot-2", None).unwrap().is_after_reboot);
        assert!(!Identity::open(dir.path(), "boot-2", None).unwrap().is_after_reboot);
    }

    #[test]
    fn newer_data_and_other_clusters_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(IDENTITY_FILE), r#"{"version":2,"agent":"a","boot_id":"b"}"#).unwrap();
        assert!(matches!(
            Identity::open(dir.path(), "b", None),
            Err(IdentityError::Newer { version: 2, .. })
        ));
        let record = AgentRecord { cluster: Some(ClusterId::new("north")), ..AgentRecord::default() };
        assert!(check_cluster(dir.path(), &record, None).is_ok());
        assert!(check_cluster(dir.path(), &record, Some(&ClusterId::new("north"))).is_ok());
        assert!(check_cluster(dir.path(), &record, Some(&ClusterId::new("south"))).is_err());
    }

    #[test]
    fn whose_certificate_is_there_gets_its_identity_back_and_nobody_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let (own, other) = (AgentId::new("agent-1"), AgentId::new("agent-2"));
        drop(Identity::open(dir.path(), "b", Some(&own)).unwrap());
        let error = Identity::open(dir.path(), "b", Some(&other)).unwrap_err();
        assert!(matches!(error, IdentityError::Other { .. }) && error.hint().is_some(), "{error}");
        fs::remove_file(dir.path().join(IDENTITY_FILE)).unwrap();
        assert_eq!(Identity::open(dir.path(), "b", Some(&own)).unwrap().agent, own);
    }
}
