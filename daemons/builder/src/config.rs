//! How the builder is set up.

use std::path::PathBuf;
use std::time::Duration;

/// Settings that stay as they are while the process runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Repositories, build storage and cache stand here.
    pub data_dir: PathBuf,
    /// Lock files and the hook's socket stand here; gone after a reboot.
    pub runtime_dir: PathBuf,
    /// This program, which is also the hook.
    pub program: PathBuf,
    /// The cgroup under which the containers of builds stand: `/kogge-1a2b/builds`.
    pub cgroup: String,
    /// Builds that run at once; others wait.
    pub builds_at_once: usize,
    /// A build that takes longer is ended.
    pub time_limit: Duration,
    /// Memory for a build's steps, in bytes.
    pub mem_bytes: u64,
    /// Processor time for a build's steps, thousandths of a core.
    pub cpu_millis: u64,
    /// Size of a push, in bytes.
    pub max_push_bytes: u64,
    /// Size of the files of a commit, in bytes.
    pub max_source_bytes: u64,
    /// Size of build storage at which the cache is dropped, in bytes.
    pub max_cache_bytes: u64,
}

impl Config {
    /// The defaults around the places.
    #[must_use]
    pub fn new(data_dir: PathBuf, runtime_dir: PathBuf, program: PathBuf, cgroup: String) -> Self {
        Self {
            data_dir,
            runtime_dir,
            program,
            cgroup,
            builds_at_once: 2,
            time_limit: Duration::from_secs(30 * 60),
            mem_bytes: 2 << 30,
            cpu_millis: 2_000,
            max_push_bytes: 1 << 30,
            max_source_bytes: 4 << 30,
            max_cache_bytes: 20 << 30,
        }
    }

    /// Where the repositories stand, by environment and app.
    #[must_use]
    pub fn repositories(&self) -> PathBuf {
        self.data_dir.join("git")
    }

    /// Where the hook finds us.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.runtime_dir.join("hook.sock")
    }
}
