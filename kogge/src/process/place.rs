//! Where a cloud lives: its data directory, its runtime directory, and the tag that keeps clouds apart.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use kogge_cli::{Failure, Global};
use kogge_client::{DEFAULT_DATA_DIR, DOORS_FILE};
use kogge_model::digest::Digest;

/// Kept by servers, `kogge up` among them, in their data directory.
const CLUSTER_FILE: &str = "cluster.json";

/// The directories of one cloud.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) data: PathBuf,
}

impl Place {
    /// The data directory that is meant, made if it is not there.
    pub(crate) fn find(global: &Global) -> Result<Self, Failure> {
        if !rustix::process::geteuid().is_root() {
            return Err(Failure::new("this needs root: it makes containers, bridges and cgroups")
                .with_hint("run it with sudo"));
        }
        let data = global.data.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR));
        let cannot = |error: std::io::Error| {
            Failure::new(format!("cannot use {} as data directory: {error}", data.display()))
                .with_hint("name another with --data DIR")
        };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&data).map_err(cannot)?;
        Ok(Self { data: data.canonicalize().map_err(cannot)? })
    }

    /// Makes what stands inside.
    pub(crate) fn prepare(&self) -> Result<(), Failure> {
        for directory in [self.runtime(), self.data.join("state")] {
            std::fs::create_dir_all(&directory)
                .map_err(|error| Failure::new(format!("cannot make {}: {error}", directory.display())))?;
        }
        let close = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(&self.data, close)
            .map_err(|error| Failure::new(format!("cannot close {} to others: {error}", self.data.display())))
    }

    /// Tells this cloud from others on the machine: bridge, cgroups and nftables carry it.
    pub(crate) fn tag(&self) -> String {
        Digest::of(self.data.as_os_str().as_encoded_bytes()).hex()[..8].to_owned()
    }

    /// For what a reboot may take away.
    pub(crate) fn runtime(&self) -> PathBuf {
        Path::new("/run/kogge").join(self.tag())
    }

    /// What was made for a process that could not begin goes again; where anything lies, it stays.
    pub(crate) fn give_up(&self) {
        let _ = std::fs::remove_dir(self.runtime());
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.data.join("kogge.log")
    }

    pub(crate) fn doors_file(&self) -> PathBuf {
        self.data.join(DOORS_FILE)
    }

    /// Which cluster a server of this directory belongs to.
    pub(crate) fn cluster_file(&self) -> PathBuf {
        self.data.join(CLUSTER_FILE)
    }

    pub(crate) fn image_store(&self) -> PathBuf {
        self.data.join("images")
    }
}
