//! One container's cgroup, whatever the version: look, change limits, freeze, kill, remove.
//!
//! The runtime creates it and puts the first process in; from then on it is handled here, so that both engines
//! and a shim that is gone are served alike. Units differ between versions and are converted here and nowhere
//! else: processor time is in nanoseconds on v1 and in microseconds on v2.

mod first_move;
mod layout;
mod limits;
mod processes;
mod usage;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) use first_move::begin_pause;
use layout::Layout;

/// Between two looks at a cgroup that is about to become empty.
const RETRY_EVERY: Duration = Duration::from_millis(2);

/// One container's cgroup. It need not exist.
#[derive(Debug, Clone)]
pub struct Cgroup {
    layout: Layout,
}

impl Cgroup {
    /// Where the cgroup `path` (as in the spec's `cgroupsPath`, absolute) lies on this machine.
    ///
    /// # Errors
    /// When the mount table cannot be read or no cgroup file system is mounted.
    pub fn locate(path: &Path) -> io::Result<Self> {
        Ok(Self { layout: Layout::detect(path)? })
    }

    /// Its directories: one for each v1 hierarchy, or the only one of v2.
    #[must_use]
    pub fn directories(&self) -> Vec<PathBuf> {
        self.layout.directories()
    }

    /// Whether anything of it is there.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.directories().iter().any(|dir| dir.is_dir())
    }

    /// Kills whatever runs in it and removes it, within `patience`. Nothing to remove is a success.
    ///
    /// # Errors
    /// When a process does not die or a directory does not go in time.
    pub fn remove(&self, patience: Duration) -> io::Result<()> {
        let deadline = Instant::now() + patience;
        for dir in self.directories() {
            loop {
                match remove_tree(&dir) {
                    Ok(()) => break,
                    Err(error) if Instant::now() >= deadline => return Err(at(&dir, &error)),
                    Err(_) => {
                        self.kill_all()?;
                        std::thread::sleep(RETRY_EVERY);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Removes a cgroup directory and its children; the files in it are the kernel's and go along.
fn remove_tree(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The same error with the file it is about.
fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(path).map_err(|error| at(path, &error))?;
    io::Write::write_all(&mut file, text.as_bytes()).map_err(|error| at(path, &error))
}

fn read(path: &Path) -> io::Result<String> {
    fs::read_to_string(path).map_err(|error| at(path, &error))
}

fn read_number(path: &Path) -> io::Result<u64> {
    parse_number(read(path)?.trim()).ok_or_else(|| at(path, &io::Error::other("not a number")))
}

/// A number as cgroup files write it; `max` is the largest.
fn parse_number(text: &str) -> Option<u64> {
    if text == "max" { Some(u64::MAX) } else { text.parse().ok() }
}

/// The value of `key` in a file of `key value` lines; zero if the kernel does not write it.
fn read_key(path: &Path, key: &str) -> io::Result<u64> {
    let text = read(path)?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok());
    Ok(value.unwrap_or(0))
}
