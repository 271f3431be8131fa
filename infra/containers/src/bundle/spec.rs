//! A container in plain words, and its translation.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    Linux, LinuxBuilder, LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, Mount, Process,
    ProcessBuilder, RootBuilder, Spec, SpecBuilder, UserBuilder,
};

use super::error::BundleError;
use super::limits::TaskLimits;
use super::mounts::{self, ExtraMount, check_path};
use super::{capabilities, host_root, seccomp};
use crate::image::ResolvedUser;

const VERSION: &str = "1.0.2";
/// What a shell would search; the runtime refuses a container without it.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The kernel's bound of a host name.
const MAX_HOSTNAME_BYTES: usize = 64;

/// Everything about one container that a runtime needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// `KEY=value`; of two with the same key the last one counts. `PATH` and `HOME` are added when missing.
    pub env: Vec<String>,
    /// Where the command starts; without, `/`, or [`host_root::HOST_WORK_DIR`] on the host's files.
    pub cwd: Option<PathBuf>,
    /// Who it runs as; see [`ResolvedUser::resolve`].
    pub user: ResolvedUser,
    /// Its own name.
    pub hostname: String,
    /// Its files.
    pub root: RootFiles,
    /// What it may use.
    pub limits: TaskLimits,
    /// Where its sockets live.
    pub network: NetworkPlace,
    /// Its cgroup, from the root of each hierarchy, such as `/kogge-1a2b/web.1`.
    pub cgroup: PathBuf,
    /// Mounts besides the standard ones, in order.
    pub mounts: Vec<ExtraMount>,
}

/// The files a container sees as `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootFiles {
    /// An image, mounted by the shim at `rootfs`.
    Image {
        /// The merged directory.
        rootfs: PathBuf,
        /// Whether it refuses writes.
        is_read_only: bool,
    },
    /// The machine's own files, bound read-only by the shim at `rootfs`; see the module [`host_root`].
    Host {
        /// Where the shim binds them.
        rootfs: PathBuf,
        /// The task's own directory on the disk, owned by its user.
        work_dir: PathBuf,
        /// Paths that look empty: the data and runtime directories of every cloud.
        hidden: Vec<PathBuf>,
    },
}

/// Where a container's sockets live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkPlace {
    /// A network namespace of its own, at this path.
    Namespace(PathBuf),
    /// The host's own network.
    Host,
}

impl ContainerSpec {
    /// The OCI runtime spec.
    ///
    /// # Errors
    /// When the spec is impossible or would weaken the container.
    pub fn to_oci(&self) -> Result<Spec, BundleError> {
        self.check()?;
        let (rootfs, is_read_only) = match &self.root {
            RootFiles::Image { rootfs, is_read_only } => (rootfs, *is_read_only),
            RootFiles::Host { rootfs, .. } => (rootfs, true),
        };
        let root = RootBuilder::default().path(rootfs).readonly(is_read_only).build()?;
        let spec = SpecBuilder::default()
            .version(VERSION)
            .hostname(&*self.hostname)
            .root(root)
            .process(self.process()?)
            .mounts(self.all_mounts()?)
            .linux(self.linux()?)
            .build()?;
        Ok(spec)
    }

    fn check(&self) -> Result<(), BundleError> {
        if self.argv.first().is_none_or(String::is_empty) {
            return Err(BundleError::NoCommand);
        }
        for (field, texts) in [("the command", &self.argv), ("the environment", &self.env)] {
            if let Some(text) = texts.iter().find(|text| text.contains('\0')) {
                return Err(BundleError::BadText { field, text: text.clone() });
            }
        }
        let is_name =
            |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
        if self.hostname.is_empty() || self.hostname.len() > MAX_HOSTNAME_BYTES || !is_name(&self.hostname) {
            return Err(BundleError::BadText { field: "the host name", text: self.hostname.clone() });
        }
        self.limits.check()?;
        check_path("the cgroup", &self.cgroup)?;
        if let Some(cwd) = &self.cwd {
            check_path("the working directory", cwd)?;
        }
        if let NetworkPlace::Namespace(path) = &self.network {
            check_path("the network namespace", path)?;
        }
        match &self.root {
            RootFiles::Image { rootfs, .. } => check_path("the root", rootfs),
            RootFiles::Host { .. } if self.user.uid == 0 => Err(BundleError::RootOnHost),
            RootFiles::Host { rootfs, work_dir, hidden } => {
                check_path("the root", rootfs)?;
                check_path("the working directory", work_dir)?;
                hidden.iter().try_for_each(|path| check_path("a hidden path", path))?;
                self.mounts.iter().try_for_each(|mount| host_root::check_target(mount.target()))
            }
        }
    }

    fn process(&self) -> Result<Process, BundleError> {
        let user = UserBuilder::default()
            .uid(self.user.uid)
            .gid(self.user.gid)
            .additional_gids(self.user.additional_gids.clone())
            .build()?;
        let process = ProcessBuilder::default()
            .terminal(false)
            .user(user)
            .args(self.argv.clone())
            .env(self.whole_env())
            .cwd(self.cwd.clone().unwrap_or_else(|| PathBuf::from(self.default_cwd())))
            .capabilities(capabilities::for_user(self.user.uid)?)
            .rlimits(self.limits.to_rlimits()?)
            .no_new_privileges(true)
            .build()?;
        Ok(process)
    }

    const fn default_cwd(&self) -> &str {
        match self.root {
            RootFiles::Image { .. } => "/",
            RootFiles::Host { .. } => host_root::HOST_WORK_DIR,
        }
    }

    /// Each key once, the last one of each, with `PATH` and `HOME`.
    fn whole_env(&self) -> Vec<String> {
        let key = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
        let mut env: Vec<String> = Vec::new();
        for entry in &self.env {
            env.retain(|other| key(other) != key(entry));
            env.push(entry.clone());
        }
        let home = match &self.root {
            RootFiles::Image { .. } => self.user.home.as_deref().unwrap_or("/"),
            RootFiles::Host { .. } => host_root::HOST_WORK_DIR,
        };
        for default in [DEFAULT_PATH.to_owned(), format!("HOME={home}")] {
            if !env.iter().any(|entry| key(entry) == key(&default)) {
                env.insert(0, default);
            }
        }
        env
    }

    fn all_mounts(&self) -> Result<Vec<Mount>, BundleError> {
        let mut mounts = mounts::standard()?;
        let mut extra = Vec::new();
        if let RootFiles::Host { work_dir, .. } = &self.root {
            let sys = mounts.iter().position(|mount| mount.destination() == Path::new("/sys"));
            mounts.insert(sys.unwrap_or_default(), host_root::under_sys()?);
            extra = host_root::mounts(work_dir, self.limits.mem_bytes);
        }
        extra.extend(self.mounts.iter().cloned().map(|mount| match (&self.root, mount) {
            (RootFiles::Host { .. }, ExtraMount::Bind { source, target, is_read_only }) => {
                ExtraMount::Bind { source, target: host_root::real_target(&target), is_read_only }
            }
            (_, mount) => mount,
        }));
        for mount in &extra {
            mounts.push(mount.to_oci()?);
        }
        Ok(mounts)
    }

    fn linux(&self) -> Result<Linux, BundleError> {
        let mut masked: Vec<String> = mounts::MASKED.iter().map(|path| (*path).to_owned()).collect();
        if let RootFiles::Host { hidden, .. } = &self.root {
            masked.extend(host_root::masked(hidden));
        }
        let linux = LinuxBuilder::default()
            .namespaces(self.namespaces()?)
            .cgroups_path(&*self.cgroup)
            .resources(self.limits.to_resources()?)
            .masked_paths(masked)
            .readonly_paths(mounts::read_only())
            .seccomp(seccomp::profile()?)
            .build()?;
        Ok(linux)
    }

    fn namespaces(&self) -> Result<Vec<LinuxNamespace>, BundleError> {
        let mut namespaces = Vec::new();
        for kind in [
            LinuxNamespaceType::Pid,
            LinuxNamespaceType::Ipc,
            LinuxNamespaceType::Uts,
            LinuxNamespaceType::Mount,
            LinuxNamespaceType::Cgroup,
        ] {
            namespaces.push(LinuxNamespaceBuilder::default().typ(kind).build()?);
        }
        if let NetworkPlace::Namespace(path) = &self.network {
            let network =
                LinuxNamespaceBuilder::default().typ(LinuxNamespaceType::Network).path(path as &Path);
            namespaces.push(network.build()?);
        }
        Ok(namespaces)
    }
}
