//! Network namespaces by name, as `ip netns` keeps them.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use super::program::run;
use super::{BedError, ProcessId};

const FOLDER: &str = "/run/netns";

/// A network of its own: interfaces, addresses, loopback, ports, packet filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// The one with that name, which need not exist.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that holds it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new(FOLDER).join(&self.name)
    }

    /// Makes it, with its loopback up.
    pub(crate) fn create(&self) -> Result<(), BedError> {
        run(&format!("ip netns add {}", self.name))?;
        run(&format!("ip -n {} link set lo up", self.name)).map(drop)
    }

    /// Takes its name away; the kernel takes the rest when the last process has left.
    pub(crate) fn delete(&self) -> Result<(), BedError> {
        if self.path().exists() { run(&format!("ip netns delete {}", self.name)).map(drop) } else { Ok(()) }
    }

    /// All whose names begin so.
    pub(crate) fn with_prefix(prefix: &str) -> Vec<Self> {
        let Ok(entries) = fs::read_dir(FOLDER) else { return Vec::new() };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| name.starts_with(prefix)).map(|name| Self { name }).collect()
    }

    /// A program in this network. Files, mounts and cgroups are those of the machine: `ip netns exec` would hide the
    /// cgroups.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(program);
        command
    }

    /// Does something in this network, on a thread of its own. Sockets that are made there stay in this network,
    /// wherever they are used.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    ///
    /// # Panics
    /// When `work` does.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, BedError> {
        let cannot = || BedError::file("enter", &self.path());
        let file = File::open(self.path()).map_err(cannot())?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&file, CloneFlags::CLONE_NEWNET).map_err(|errno| cannot()(errno.into()))?;
                Ok(work())
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A connection from this network.
    ///
    /// # Errors
    /// When nobody answers in time, or the namespace is gone.
    pub fn connect(&self, to: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
        let connect = || {
            let stream = TcpStream::connect_timeout(&to, limit)?;
            stream.set_read_timeout(Some(limit))?;
            stream.set_write_timeout(Some(limit))?;
            Ok(stream)
        };
        self.inside(connect).map_err(io::Error::other)?
    }

    /// Whether a process is in this network.
    #[must_use]
    pub fn holds(&self, process: ProcessId) -> bool {
        identity(&self.path()).is_some_and(|own| is_in(process, own))
    }
}

/// Device and number of a namespace, by a file that holds it.
pub(crate) fn identity(file: &Path) -> Option<(u64, u64)> {
    fs::metadata(file).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Whether a process is in that network.
pub(crate) fn is_in(process: ProcessId, network: (u64, u64)) -> bool {
    identity(Path::new(&format!("/proc/{}/ns/net", process.pid))) == Some(network)
}
