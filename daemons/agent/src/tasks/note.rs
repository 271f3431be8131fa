//! What an agent must still know of a container when another agent process takes it over: `agent.json` beside the
//! shim's files.

use std::net::IpAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::records::{self, RecordError};

const FILE: &str = "agent.json";

/// Written before the shim is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// The signal that asks it to end.
    pub(crate) stop_signal: i32,
    /// Where its ports are reached from this machine.
    pub(crate) ip: IpAddr,
}

impl Note {
    /// Keeps it in the shim's directory. Not synced: no container outlives a loss of power.
    pub(crate) fn save(&self, dir: &Path) -> Result<(), RecordError> {
        records::replace(&dir.join(FILE), self).map(drop)
    }

    /// The note in `dir`, none if no shim was ever about to be started there.
    pub(crate) fn load(dir: &Path) -> Result<Option<Self>, RecordError> {
        records::read(&dir.join(FILE))
    }
}
