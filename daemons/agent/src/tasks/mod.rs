//! What is done to tasks: the hands of the node. Each order becomes a supervised piece of work that answers, when it
//! is done, with an input for the node.

mod container;
mod error;
mod image;
mod lease;
mod locks;
mod note;
mod recover;
mod release;
mod start;
mod stop;
mod stop_signal;
mod sweep;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kogge_containers::image::{ImageStore, Peer};
use kogge_containers::network::Network;
use kogge_containers::snapshot::SnapshotStore;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_model::digest::Digest;
use kogge_model::id::{RunId, TaskId};
use kogge_model::task::TaskSpec;
use kogge_node::{Effect, Input, ProbeTarget};
use kogge_shim::client::{Client, ShimProgram};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::AgentConfig;
use crate::dirs::{Dirs, TaskDirs};
use crate::loops::probe;
use crate::loops::reactor::Mailbox;
use crate::port_leases::PortLeases;
use image::Fetches;
use locks::{Alone, Locks};
pub use sweep::SweepError;

/// Probes under way at once; further ones wait, which does not count as their time.
const PARALLEL_PROBES: usize = 256;

/// Clean-ups under way at once, so that a storm of ends leaves room for starts.
const PARALLEL_RELEASES: usize = 8;

/// Everything the work on tasks needs.
pub(crate) struct Machine {
    pub(crate) config: AgentConfig,
    pub(crate) name: String,
    pub(crate) dirs: Dirs,
    pub(crate) images: ImageStore,
    pub(crate) peer: Option<Arc<dyn Peer>>,
    pub(crate) snapshots: SnapshotStore,
    pub(crate) network: Network,
    pub(crate) program: ShimProgram,
    pub(crate) mailbox: Mailbox,
    pub(crate) work: TaskGroup,
    pub(crate) ports: PortLeases,
    most_open_files: u32,
    locks: Locks<TaskId>,
    pulls: Locks<Digest>,
    fetches: Fetches,
    probes: Semaphore,
    releases: Semaphore,
    /// Tasks whose last processes are being killed.
    vanishing: Mutex<BTreeSet<TaskId>>,
    /// Ends of the leases of single-copy tasks, since the machine's start.
    leases: Mutex<BTreeMap<TaskId, Duration>>,
}

/// The means that a machine is made of.
pub(crate) struct Means {
    pub(crate) config: AgentConfig,
    pub(crate) name: String,
    pub(crate) dirs: Dirs,
    pub(crate) images: ImageStore,
    pub(crate) peer: Option<Arc<dyn Peer>>,
    pub(crate) snapshots: SnapshotStore,
    pub(crate) network: Network,
    pub(crate) program: ShimProgram,
    pub(crate) mailbox: Mailbox,
    pub(crate) work: TaskGroup,
}

impl Machine {
    pub(crate) fn new(means: Means) -> Arc<Self> {
        let Means { config, name, dirs, images, peer, snapshots, network, program, mailbox, work } = means;
        Arc::new(Self {
            config,
            name,
            dirs,
            images,
            peer,
            snapshots,
            network,
            program,
            mailbox,
            work,
            ports: PortLeases::default(),
            most_open_files: crate::machine::most_open_files(),
            locks: Locks::default(),
            pulls: Locks::default(),
            fetches: Fetches::default(),
            probes: Semaphore::new(PARALLEL_PROBES),
            releases: Semaphore::new(PARALLEL_RELEASES),
            vanishing: Mutex::default(),
            leases: Mutex::default(),
        })
    }

    pub(crate) fn of(&self, task: &TaskId) -> TaskDirs {
        self.dirs.of(task)
    }

    /// The supervisor of `task`, whether or not it is there.
    pub(crate) fn shim(&self, task: &TaskId) -> Client {
        Client::new(self.of(task).shim)
    }

    async fn alone(&self, task: &TaskId) -> Alone<TaskId> {
        self.locks.alone(task).await
    }

    /// The parent of all cgroups of this cloud.
    pub(crate) fn cgroup_parent(&self) -> std::path::PathBuf {
        std::path::PathBuf::from(format!("/kogge-{}", self.config.cloud))
    }

    /// Starts a piece of work for `task`.
    fn spawn(self: &Arc<Self>, what: &str, task: &TaskId, work: impl Future<Output = ()> + Send + 'static) {
        // What is said to the node by nobody is said by nobody else: the group goes on, the node asks again.
        self.work.spawn(format!("{what} {task}"), OnPanic::Log, work);
    }

    async fn ask(self: Arc<Self>, task: TaskId, number: u64, target: ProbeTarget, timeout: Duration) {
        let place = self.probes.acquire().await;
        let result = probe::ask(&self.shim(&task), target, timeout).await;
        drop(place);
        self.mailbox.tell(Input::ProbeResult { task, number, result }).await;
    }
}

/// Carries out what the node wants done. Returns at once; the work goes on in the group.
pub(crate) struct Hands {
    machine: Arc<Machine>,
    clock: Clock,
    /// Starts in progress that can still be given up.
    starts: BTreeMap<TaskId, CancellationToken>,
}

impl Hands {
    pub(crate) const fn new(machine: Arc<Machine>, clock: Clock) -> Self {
        Self { machine, clock, starts: BTreeMap::new() }
    }

    /// # Panics
    /// When `effect` is not for hands: records and messages are carried out elsewhere.
    pub(crate) fn act(&mut self, effect: Effect) {
        let machine = Arc::clone(&self.machine);
        match effect {
            Effect::Start { run, spec } => self.start(machine, run, spec),
            Effect::Lease { task, until } => {
                let until = self.clock.since_boot(until);
                machine.note_lease(&task, until);
                self.machine.spawn("renew the lease of", &task.clone(), machine.renew(task, until));
            }
            Effect::CancelStart(task) => {
                if let Some(token) = self.starts.remove(&task) {
                    token.cancel();
                }
            }
            Effect::Signal { task, signal } => {
                self.machine.spawn("stop", &task.clone(), machine.signal(task, signal));
            }
            Effect::MakeSure(task) => {
                self.machine.spawn("make sure of", &task.clone(), machine.make_sure(task))
            }
            Effect::Release(task) => {
                self.starts.remove(&task);
                machine.forget_lease(&task);
                self.machine.spawn("release", &task.clone(), machine.release(task));
            }
            Effect::Probe { task, number, target, timeout } => {
                self.machine.spawn("probe", &task.clone(), machine.ask(task, number, target, timeout));
            }
            Effect::Collect(task) => self.machine.spawn("collect", &task.clone(), machine.collect(task)),
            Effect::SaveAgent(_)
            | Effect::Save(_)
            | Effect::Forget(_)
            | Effect::Send(_)
            | Effect::Explain(_) => unreachable!("the reactor keeps records and messages to itself"),
        }
    }

    fn start(&mut self, machine: Arc<Machine>, run: RunId, spec: Arc<TaskSpec>) {
        let token = CancellationToken::new();
        self.starts.insert(spec.task.clone(), token.clone());
        let task = spec.task.clone();
        self.machine.spawn("run", &task, machine.run(run, spec, token));
    }
}

/// A set of tasks that something is being done to; leaves it when dropped.
struct Busy<'a> {
    set: &'a Mutex<BTreeSet<TaskId>>,
    task: TaskId,
}

impl<'a> Busy<'a> {
    /// None if it is being done already.
    fn enter(set: &'a Mutex<BTreeSet<TaskId>>, task: &TaskId) -> Option<Self> {
        let is_new = set.lock().unwrap_or_else(PoisonError::into_inner).insert(task.clone());
        is_new.then(|| Self { set, task: task.clone() })
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.set.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.task);
    }
}
