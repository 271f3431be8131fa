//! What the network remembers on the disk.
//!
//! ```text
//! DATA/network.json                 the subnet: kept for as long as the data directory lives
//! RUNTIME/netns/<task>              the namespace's name
//! RUNTIME/attachments/<task>.json   what the task got; gone after a reboot, like the namespaces
//! RUNTIME/forwarding-was-off        this cloud has switched the machine's forwarding on
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::attachment::Attachment;
use super::error::NetworkError;
use super::subnet::Subnet;
use crate::durable;

/// The files of one cloud's network.
#[derive(Debug, Clone)]
pub(crate) struct State {
    data: PathBuf,
    runtime: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    subnet: Subnet,
}

impl State {
    pub(crate) fn open(data: &Path, runtime: &Path) -> Result<Self, NetworkError> {
        let state = Self { data: data.to_path_buf(), runtime: runtime.to_path_buf() };
        for dir in [data.to_path_buf(), state.attachments(), state.namespaces()] {
            fs::create_dir_all(&dir).map_err(NetworkError::io("make", &dir))?;
        }
        Ok(state)
    }

    fn kept(&self) -> PathBuf {
        self.data.join("network.json")
    }

    fn attachments(&self) -> PathBuf {
        self.runtime.join("attachments")
    }

    fn namespaces(&self) -> PathBuf {
        self.runtime.join("netns")
    }

    fn attachment(&self, task: &str) -> PathBuf {
        self.attachments().join(format!("{task}.json"))
    }

    pub(crate) fn namespace(&self, task: &str) -> PathBuf {
        self.namespaces().join(task)
    }

    pub(crate) fn forwarding_mark(&self) -> PathBuf {
        self.runtime.join("forwarding-was-off")
    }

    /// The subnet of last time, if it can be read.
    pub(crate) fn subnet(&self) -> Option<Subnet> {
        let kept: Option<Kept> =
            fs::read(self.kept()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        kept.map(|kept| kept.subnet)
    }

    pub(crate) fn keep_subnet(&self, subnet: Subnet) -> Result<(), NetworkError> {
        let bytes = serde_json::to_vec(&Kept { subnet }).expect("a subnet is plain data");
        durable::write_file(&self.kept(), &bytes).map_err(NetworkError::io("write", &self.kept()))
    }

    /// Notes what is about to be made. Not flushed: after a power cut there is nothing to find.
    pub(crate) fn note(&self, attachment: &Attachment) -> Result<(), NetworkError> {
        let path = self.attachment(&attachment.task);
        let tmp = self.attachments().join(durable::unfinished_name("attachment"));
        let bytes = serde_json::to_vec(attachment).expect("an attachment is plain data");
        let written = fs::write(&tmp, bytes).and_then(|()| fs::rename(&tmp, &path));
        written.map_err(NetworkError::io("write", &path))
    }

    pub(crate) fn forget(&self, task: &str) -> Result<(), NetworkError> {
        let path = self.attachment(task);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(NetworkError::io("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Everything noted; a note that was not finished stands for nothing and is removed.
    pub(crate) fn found(&self) -> Result<Vec<Attachment>, NetworkError> {
        let dir = self.attachments();
        let mut found = Vec::new();
        for entry in fs::read_dir(&dir).map_err(NetworkError::io("list", &dir))? {
            let path = entry.map_err(NetworkError::io("list", &dir))?.path();
            let bytes = fs::read(&path).map_err(NetworkError::io("read", &path))?;
            match serde_json::from_slice::<Attachment>(&bytes) {
                Ok(attachment) if !path.file_name().is_some_and(durable::is_unfinished) => {
                    found.push(attachment)
                }
                _ => {
                    tracing::warn!(path = %path.display(), "removed an unfinished note of the network");
                    fs::remove_file(&path).map_err(NetworkError::io("remove", &path))?;
                }
            }
        }
        Ok(found)
    }

    /// The names of all namespaces there are.
    pub(crate) fn namespace_names(&self) -> Result<Vec<String>, NetworkError> {
        let dir = self.namespaces();
        let mut names = Vec::new();
        for entry in fs::read_dir(&dir).map_err(NetworkError::io("list", &dir))? {
            names.extend(entry.map_err(NetworkError::io("list", &dir))?.file_name().into_string());
        }
        Ok(names)
    }

    /// Removes what lives only as long as the cloud runs.
    pub(crate) fn clear(&self) -> Result<(), NetworkError> {
        for dir in [self.attachments(), self.namespaces()] {
            crate::tree::remove(&dir).map_err(NetworkError::io("remove", &dir))?;
        }
        Ok(())
    }
}
