//! What a shim is told before it starts: `shim.json` in its directory, written once by the agent.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kogge_model::id::{RunId, TaskId};
use serde::{Deserialize, Serialize};

use crate::durable;

/// The version of `shim.json` written by this code. Newer fields have defaults, so an older file stays readable.
pub const CONFIG_VERSION: u32 = 1;

const CONFIG_FILE: &str = "shim.json";

/// Everything a shim needs that is not in the OCI spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimConfig {
    /// See [`CONFIG_VERSION`].
    pub version: u32,
    /// The task, also the runtime's container id.
    pub task: TaskId,
    /// Which launch of the task's cluster this is.
    pub run: RunId,
    /// Holds `config.json`, the OCI runtime spec. Absolute.
    pub bundle: PathBuf,
    /// Where the container's root file system comes from.
    pub rootfs: Rootfs,
    /// The runtime's own state, a directory on a tmpfs shared by all containers of a cloud. Absolute.
    pub state_root: PathBuf,
    /// Bounds of the captured output.
    #[serde(default)]
    pub logs: LogLimits,
    /// Which runtime sets the container up.
    #[serde(default)]
    pub engine: EngineKind,
    /// Of a single-copy task: the shim ends it when this is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseTerms>,
}

/// How long a single-copy task may live without further word. Times count since the machine was started, on a clock
/// that goes on while it sleeps ([`kogge_host::clock::since_boot`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseTerms {
    /// It is dead by then, in ms since the boot, unless the lease is renewed.
    pub until_ms: u64,
    /// So many ms before the end it is asked to end.
    pub notice_ms: u64,
    /// So many ms before the end it is killed.
    pub dying_ms: u64,
}

/// How the root file system is made. All mounts happen in the shim's own mount namespace: the host's mount
/// table never sees them, and they are gone with the last process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Rootfs {
    /// An overlay of image layers under a writable directory.
    Overlay {
        /// Read-only layers, the uppermost first.
        lowers: Vec<PathBuf>,
        /// Takes the writes.
        upper: PathBuf,
        /// overlayfs's own, on the same file system as `upper`.
        work: PathBuf,
        /// Where it is mounted.
        merged: PathBuf,
    },
    /// The host's own files, for a command without an image.
    Host {
        /// Where they are bound.
        mountpoint: PathBuf,
        /// Whether nothing below may be written, submounts included.
        is_read_only: bool,
        /// Directories that look empty inside: the cloud's data and runtime directories.
        hidden: Vec<PathBuf>,
    },
    /// A directory as it is.
    Directory {
        /// The root.
        path: PathBuf,
    },
}

impl Rootfs {
    /// What the spec's `root.path` must be.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Overlay { merged, .. } => merged,
            Self::Host { mountpoint, .. } => mountpoint,
            Self::Directory { path } => path,
        }
    }
}

/// Bounds of the captured output of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogLimits {
    /// A new segment is begun at this size.
    pub segment_bytes: u64,
    /// The oldest segments go when all together are larger.
    pub total_bytes: u64,
    /// A task that writes faster for longer is slowed down to this, by pauses of a few milliseconds.
    pub bytes_per_second: u64,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { segment_bytes: 8 << 20, total_bytes: 64 << 20, bytes_per_second: 16 << 20 }
    }
}

/// Which runtime sets the container up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EngineKind {
    /// The library in this binary.
    #[default]
    Libcontainer,
    /// A program with runc's command line.
    Runc {
        /// Absolute path.
        path: PathBuf,
    },
}

/// Why a shim's configuration could not be kept or understood.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be written.
    #[error("cannot write {path}", path = path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file could not be read.
    #[error("cannot read {path}", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what this code understands.
    #[error("cannot understand {path}", path = path.display())]
    Parse {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The file was written by newer code.
    #[error("{path} has version {version}, this program knows up to {CONFIG_VERSION}", path = path.display())]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

impl ShimConfig {
    /// Writes `shim.json` into `dir`, replacing it as a whole. Not synced: no container outlives a loss of power.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), ConfigError> {
        let path = dir.join(CONFIG_FILE);
        let text = serde_json::to_vec(self).expect("a shim's configuration is plain data with UTF-8 paths");
        durable::replace_file(&path, &text).map_err(|source| ConfigError::Write { path, source })
    }

    /// Reads `shim.json` from `dir`.
    ///
    /// # Errors
    /// When it is missing, damaged or newer than this code.
    pub fn load(dir: &Path) -> Result<Self, ConfigError> {
        let path = dir.join(CONFIG_FILE);
        let text = fs::read(&path).map_err(|source| ConfigError::Read { path: path.clone(), source })?;
        let config: Self = serde_json::from_slice(&text)
            .map_err(|source| ConfigError::Parse { path: path.clone(), source })?;
        if config.version > CONFIG_VERSION {
            return Err(ConfigError::Newer { path, version: config.version });
        }
        Ok(config)
    }
}
