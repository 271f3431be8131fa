//! From an order to a running process.
//!
//! ```text
//!  ports free ──┬─▶ image ──▶ snapshot ──┐
//!               └─▶ network ─────────────┴─▶ bundle ──▶ shim ──▶ Started, then watched
//! ```
//!
//! Whatever fails, everything before it is undone: a start leaves a running task or nothing but a directory.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kogge_containers::bundle::{ContainerSpec, NameFiles, NetworkPlace, RootFiles, write_bundle};
use kogge_containers::image::{Image, Protocol, ResolvedUser};
use kogge_containers::network::PublishedPort;
use kogge_containers::snapshot::Snapshot;
use kogge_model::id::RunId;
use kogge_model::image::ImageRef;
use kogge_model::port::Port;
use kogge_model::task::{PortBinding, TaskSpec};
use kogge_model::template::NetworkMode;
use kogge_node::Input;
use kogge_shim::client::{self, Started};
use kogge_shim::config::{CONFIG_VERSION, EngineKind, LogLimits, Rootfs, ShimConfig};
use tokio_util::sync::CancellationToken;

use super::container::{self, Parts};
use super::error::StartError;
use super::note::Note;
use super::{Machine, stop_signal};
use crate::dirs::TaskDirs;

/// How long the tasks before may take to give back a host port.
const PORT_PATIENCE: Duration = Duration::from_secs(10);

/// Where the task's files come from.
struct Files {
    root: RootFiles,
    rootfs: Rootfs,
    user: ResolvedUser,
    image: Option<Image>,
}

/// Where the task's sockets live.
struct Place {
    network: NetworkPlace,
    ip: IpAddr,
}

impl Machine {
    /// Starts a task, tells how that went, and watches it to its end.
    pub(super) async fn run(self: Arc<Self>, run: RunId, spec: Arc<TaskSpec>, token: CancellationToken) {
        let task = spec.task.clone();
        let alone = self.alone(&task).await;
        match self.start(run, &spec, &token).await {
            Ok((started, ip)) => {
                drop(alone);
                let (pid, started_at) = (started.pong.pid, started.pong.started_at);
                self.mailbox.tell(Input::Started { task: task.clone(), pid, started_at, ip }).await;
                self.watch(task).await;
            }
            Err(error) => {
                self.undo(&task).await;
                drop(alone);
                let (reason, is_permanent) = (error.reason(), error.is_permanent());
                self.mailbox.tell(Input::StartFailed { task, reason, is_permanent }).await;
            }
        }
    }

    async fn start(
        &self,
        run: RunId,
        spec: &TaskSpec,
        token: &CancellationToken,
    ) -> Result<(Started, IpAddr), StartError> {
        let dirs = self.of(&spec.task);
        let began = Instant::now();
        client::expect_start();
        let preparing = self.prepare(run, spec, &dirs);
        let ip = tokio::select! {
            prepared = preparing => prepared?,
            () = token.cancelled() => return Err(StartError::Cancelled),
        };
        // From here on it cannot be given up half-way: it ends as a running task or with the supervisor's word.
        let prepared = began.elapsed();
        let started = client::spawn(&self.program, &dirs.shim, self.config.start_deadline).await?;
        tracing::debug!(task = %spec.task, ?prepared, whole = ?began.elapsed(), "started");
        Ok((started, ip))
    }

    /// Everything up to the shim.
    async fn prepare(&self, run: RunId, spec: &TaskSpec, dirs: &TaskDirs) -> Result<IpAddr, StartError> {
        self.clear_remains(&spec.task).await?;
        self.take_ports(spec).await?;
        tokio::fs::create_dir_all(&dirs.bundle).await.map_err(StartError::Directory)?;
        let (files, place) = tokio::try_join!(self.files(spec, dirs), self.place(spec))?;
        let config = ShimConfig {
            lease: self.lease_terms(spec)?,
            ..self.shim_config(run, spec, dirs, files.rootfs.clone())
        };
        let stop_signal = files.image.as_ref().and_then(|image| image.config.stop_signal.as_deref());
        let note = Note { stop_signal: stop_signal::number(stop_signal), ip: place.ip };
        let names = names(spec, &place);
        let (parent, agent) = (self.cgroup_parent(), self.name.clone());
        let most_open_files = self.most_open_files;
        let (spec, dirs) = (spec.clone(), dirs.clone());
        let writing = tokio::task::spawn_blocking(move || {
            let mounts = names.write(&dirs.bundle)?;
            let parts = Parts {
                run,
                spec: &spec,
                image: files.image.as_ref().map(|image| &image.config),
                user: files.user,
                root: files.root,
                network: place.network,
                mounts,
                cgroup_parent: parent,
                most_open_files,
                agent: &agent,
            };
            let container: ContainerSpec = parts.container();
            write_bundle(&dirs.bundle, &container)?;
            note.save(&dirs.shim)?;
            config.save(&dirs.shim)?;
            Ok(note.ip)
        });
        writing.await.unwrap_or_else(|error| Err(StartError::Directory(std::io::Error::other(error))))
    }

    /// A start that was interrupted with the agent has left its traces.
    async fn clear_remains(&self, task: &kogge_model::id::TaskId) -> Result<(), StartError> {
        let dirs = self.of(task);
        if !dirs.shim.exists() {
            return Ok(());
        }
        if dirs.shim.join("shim.json").exists() {
            client::destroy(&dirs.shim).await.map_err(StartError::Remains)?;
        }
        self.network.detach(task.as_str()).await?;
        self.snapshots.remove(task.as_str()).await?;
        tokio::fs::remove_dir_all(&dirs.shim).await.map_err(StartError::Directory)
    }

    async fn take_ports(&self, spec: &TaskSpec) -> Result<(), StartError> {
        let ports: Vec<Port> = spec.ports.iter().map(|binding| binding.host_port).collect();
        if tokio::time::timeout(PORT_PATIENCE, self.ports.wait(&spec.task, &ports)).await.is_ok() {
            return Ok(());
        }
        match self.ports.take(&spec.task, &ports) {
            Ok(()) => Ok(()),
            Err((port, holder)) => Err(StartError::PortHeld { port, holder: holder.to_string() }),
        }
    }

    /// The files it will see as `/`.
    async fn files(&self, spec: &TaskSpec, dirs: &TaskDirs) -> Result<Files, StartError> {
        match &spec.template.image {
            Some(image) => self.image_files(spec, image).await,
            None => Ok(self.host_files(spec, dirs)?),
        }
    }

    async fn image_files(&self, spec: &TaskSpec, wanted: &ImageRef) -> Result<Files, StartError> {
        let image = self
            .image(&spec.task, wanted)
            .await
            .map_err(|source| StartError::Image { image: wanted.clone(), source: Box::new(source) })?;
        let Snapshot { lower, upper, work, merged, .. } =
            self.snapshots.prepare(spec.task.as_str(), &image).await?;
        let user = spec.template.user.clone().or_else(|| image.config.user.clone()).unwrap_or_default();
        let layers = image.lower.clone();
        let resolving = tokio::task::spawn_blocking(move || ResolvedUser::resolve(&user, &layers)).await;
        let user = match resolving {
            Ok(user) => user.map_err(StartError::User)?,
            Err(error) => return Err(StartError::Directory(std::io::Error::other(error))),
        };
        let root = RootFiles::Image { rootfs: merged.clone(), is_read_only: spec.template.is_root_read_only };
        let rootfs = Rootfs::Overlay { lowers: lower, upper, work, merged };
        Ok(Files { root, rootfs, user, image: Some(image) })
    }

    /// The machine's own files, for a command without an image.
    fn host_files(&self, spec: &TaskSpec, dirs: &TaskDirs) -> Result<Files, StartError> {
        let user = match &spec.template.user {
            Some(user) => {
                let host = [std::path::PathBuf::from("/")];
                ResolvedUser::resolve(user, &host).map_err(StartError::User)?
            }
            None => container::nobody(),
        };
        let mountpoint = dirs.files.join("root");
        let mut hidden = vec![self.dirs.data.clone(), self.dirs.runtime.clone()];
        hidden.extend(self.config.hidden.iter().cloned());
        let work_dir = dirs.files.join("work");
        let root = RootFiles::Host { rootfs: mountpoint.clone(), work_dir, hidden: hidden.clone() };
        let rootfs = Rootfs::Host { mountpoint, is_read_only: true, hidden };
        Ok(Files { root, rootfs, user, image: None })
    }

    /// A network of its own with published ports, or the machine's.
    async fn place(&self, spec: &TaskSpec) -> Result<Place, StartError> {
        match spec.template.network {
            NetworkMode::Host => Ok(Place { network: NetworkPlace::Host, ip: self.config.address }),
            NetworkMode::Bridge => {
                let ports: Vec<PublishedPort> = spec.ports.iter().map(published).collect();
                let attachment = self.network.attach(spec.task.as_str(), &ports).await?;
                let network = NetworkPlace::Namespace(attachment.namespace);
                Ok(Place { network, ip: attachment.address.into() })
            }
        }
    }

    fn shim_config(&self, run: RunId, spec: &TaskSpec, dirs: &TaskDirs, rootfs: Rootfs) -> ShimConfig {
        ShimConfig {
            version: CONFIG_VERSION,
            task: spec.task.clone(),
            run,
            bundle: dirs.bundle.clone(),
            rootfs,
            state_root: self.dirs.state.clone(),
            logs: LogLimits::default(),
            engine: EngineKind::default(),
            lease: None,
        }
    }

    /// Undoes whatever a start that failed had done. Its directory stays, for what the shim had to say.
    async fn undo(&self, task: &kogge_model::id::TaskId) {
        let result = self.give_back(task).await;
        if let Err(error) = result {
            tracing::warn!(%task, error = crate::sentence::of(&error), "a failed start is not undone yet");
        }
    }
}

/// A port of the task, at every address of this machine.
fn published(binding: &PortBinding) -> PublishedPort {
    PublishedPort {
        host_address: None,
        host_port: binding.host_port.get(),
        container_port: binding.container_port.get(),
        protocol: Protocol::Tcp,
    }
}

/// Its own name and address, and the host's name servers.
fn names(spec: &TaskSpec, place: &Place) -> NameFiles {
    let address = matches!(place.network, NetworkPlace::Namespace(_)).then_some(place.ip);
    let mut names = NameFiles { hostname: container::hostname(spec), address, ..NameFiles::default() };
    names.use_resolver_of_host();
    names
}
