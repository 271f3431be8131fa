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
    /// The file that holds mounts of its own, if it has any.
    mounts: Option<PathBuf>,
}

impl Namespace {
    /// The one with that name, which need not exist.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), mounts: None }
    }

    /// The same with mounts of its own, which that file holds.
    pub(crate) fn with_mounts(mut self, file: &Path) -> Self {
        self.mounts = Some(file.to_owned());
        self
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
        names.filter(|name| name.starts_with(prefix)).map(|name| Self::named(&name)).collect()
    }

    /// A program in this network, and among the mounts of the machine.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(self.entrance()).arg("--").arg(program);
        command
    }

    /// The words by which `nsenter` gets in.
    pub(crate) fn entrance(&self) -> Vec<String> {
        let mounts = self.mounts.iter().map(|file| format!("--mount={}", file.display()));
        std::iter::once(format!("--net={}", self.path().display())).chain(mounts).collect()
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

    /// Whether a process is in this network, or among its mounts.
    #[must_use]
    pub fn holds(&self, process: ProcessId) -> bool {
        let is_in = |kind: &str, file: &Path| {
            let own = identity(file);
            own.is_some() && own == identity(Path::new(&format!("/proc/{}/ns/{kind}", process.pid)))
        };
        is_in("net", &self.path()) || self.mounts.as_ref().is_some_and(|file| is_in("mnt", file))
    }
}

/// Device and number of a namespace, by a file that holds it.
fn identity(file: &Path) -> Option<(u64, u64)> {
    fs::metadata(file).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
