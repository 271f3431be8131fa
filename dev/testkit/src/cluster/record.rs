//! What a bed consists of, as its file says it: for people, for programs, and for whoever ends it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{BedError, LinkFaults, Namespace, ProcessId, ProcessState};

/// What a node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A server of Kogge.
    Server,
    /// An agent, which runs tasks.
    Agent,
    /// A member of the engine that holds the state.
    Engine,
}

/// How the process of a node is started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// The program and its words.
    pub words: Vec<String>,
    /// More environment. The one of whoever starts it is inherited, but for what is Kogge's.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

impl Launch {
    /// Without environment of its own.
    #[must_use]
    pub fn new<Word: Into<String>>(words: impl IntoIterator<Item = Word>) -> Self {
        Self { words: words.into_iter().map(Into::into).collect(), env: BTreeMap::new() }
    }

    /// With one variable more.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }
}

/// One machine of the bed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Node {
    /// Unique in the bed: `s1`, `a3`, `e2`.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Its network.
    pub namespace: String,
    /// The file that holds its mounts.
    pub mounts: PathBuf,
    /// Its process, while it was not killed.
    pub pid: Option<u32>,
    /// When that process started, in clock ticks since the machine did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
    /// Its address on the bridge.
    pub address: Ipv4Addr,
    /// Its data directory.
    pub data: PathBuf,
    /// URLs by name of the door.
    #[serde(default)]
    pub doors: BTreeMap<String, String>,
    /// What its process says.
    pub log: PathBuf,
    /// How its process is started, now and again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch: Option<Launch>,
    /// Where the file system of its own is mounted, if its data lie on one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<PathBuf>,
    /// The file by which its clock is shifted, if it can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<PathBuf>,
    /// What is wrong with its link.
    #[serde(default, skip_serializing_if = "LinkFaults::is_none")]
    pub faults: LinkFaults,
}

impl Node {
    /// Its network, with its mounts.
    #[must_use]
    pub fn network(&self) -> Namespace {
        Namespace::named(&self.namespace).with_mounts(&self.mounts)
    }

    /// Its process, while it was not killed.
    #[must_use]
    pub fn process(&self) -> Option<ProcessId> {
        Some(ProcessId { pid: self.pid?, started: self.started? })
    }

    /// What its process does.
    #[must_use]
    pub fn state(&self) -> ProcessState {
        self.process().map_or(ProcessState::Gone, |process| process.state())
    }

    /// The end of what its process said, for people.
    #[must_use]
    pub fn last_words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let last: Vec<&str> = text.lines().rev().take(5).collect();
        last.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }
}

/// Where clients are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Client {
    /// Their network.
    pub namespace: String,
    /// Their address on the bridge.
    pub address: Ipv4Addr,
    /// What leads their programs to the servers.
    pub env: BTreeMap<String, String>,
}

/// A bed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// Stands in the names of everything that the bed makes.
    pub tag: String,
    /// Everything on disk.
    pub directory: PathBuf,
    /// The network of the bridge.
    pub switch: String,
    /// Where clients are.
    pub client: Client,
    /// All machines.
    pub nodes: Vec<Node>,
    /// Who ends the bed; without, people do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<ProcessId>,
    /// Where the servers hold the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

impl Record {
    /// Reads the file of a bed.
    ///
    /// # Errors
    /// When it cannot be read, or is no such file.
    pub fn read(file: &Path) -> Result<Self, BedError> {
        let bytes = fs::read(file).map_err(BedError::file("read", file))?;
        serde_json::from_slice(&bytes).map_err(|error| {
            BedError::Refused(format!("{} is no file of a cluster: {error}", file.display()))
        })
    }

    pub(crate) fn write(&self, file: &Path) -> Result<(), BedError> {
        let cannot = || BedError::file("write", file);
        let text = serde_json::to_string_pretty(self).expect("a record is plain data");
        let fresh = file.with_extension("new");
        // Tokens stand in it.
        let mut options = fs::File::options();
        let mut out =
            options.create(true).write(true).truncate(true).mode(0o600).open(&fresh).map_err(cannot())?;
        out.write_all((text + "\n").as_bytes()).map_err(cannot())?;
        fs::rename(&fresh, file).map_err(cannot())
    }

    /// The node with that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn node(&self, name: &str) -> Result<&Node, BedError> {
        self.nodes.iter().find(|node| node.name == name).ok_or_else(|| self.no_node(name))
    }

    pub(crate) fn node_mut(&mut self, name: &str) -> Result<&mut Node, BedError> {
        let missing = self.no_node(name);
        self.nodes.iter_mut().find(|node| node.name == name).ok_or(missing)
    }

    fn no_node(&self, name: &str) -> BedError {
        let known: Vec<&str> = self.nodes.iter().map(|node| node.name.as_str()).collect();
        BedError::NoNode { name: name.to_owned(), known: known.join(", ") }
    }
}
