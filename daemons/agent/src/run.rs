//! From settings to a living agent. Start and restart are one path.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kogge_containers::Workers;
use kogge_containers::image::{ImageStore, Peer};
use kogge_containers::network::{Network, NetworkConfig, NetworkError};
use kogge_containers::snapshot::{SnapshotError, SnapshotStore};
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_model::id::TaskId;
use kogge_model::port::Port;
use kogge_model::reason::Reason;
use kogge_node::{Input, Node, NodeConfig, Recorded, TaskRecord};
use kogge_shim::client::ShimProgram;
use thiserror::Error;
use tokio::sync::{mpsc, watch};

use crate::clock::Clock;
use crate::config::AgentConfig;
use crate::decisions::Decisions;
use crate::dirs::Dirs;
use crate::handle::AgentHandle;
use crate::identity::{self, Identity, IdentityError};
use crate::loops::reactor::{Mailbox, Reactor};
use crate::loops::{mend, outbox, room};
use crate::ports::Link;
use crate::records::{Kept, RecordError, Records};
use crate::tasks::{Hands, Machine, Means, SweepError};
use crate::{machine, preconditions};

/// Control is not kept waiting for supervisors that take longer than this to answer.
const RECOVERY_PATIENCE: Duration = Duration::from_secs(2);

/// How long what was begun before a start failed may take to end.
const FAILED_START_PATIENCE: Duration = Duration::from_secs(5);

/// Why an agent did not start.
#[derive(Debug, Error)]
pub enum AgentError {
    /// The machine lacks something.
    #[error("this machine cannot run tasks: {}", .0.iter().map(|reason| reason.text.as_str()).collect::<Vec<_>>().join("; "))]
    Machine(Vec<Reason>),
    /// The cloud's tag cannot name things.
    #[error("{tag:?} cannot tag a cloud: use 1 to 8 of a-z and 0-9")]
    Tag {
        /// As it was given.
        tag: String,
    },
    /// What the machine has cannot be found out.
    #[error("cannot find out what this machine has")]
    Detect(#[source] std::io::Error),
    /// The data directory cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Records cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The supervisors' program cannot be opened.
    #[error("cannot open the program for supervisors {}", path.display())]
    Program {
        /// Which.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The cloud's network cannot be set up.
    #[error("cannot set up the cloud's network")]
    Network(#[from] NetworkError),
    /// Task file systems cannot be made.
    #[error("cannot use the directory for task file systems")]
    Snapshot(#[from] SnapshotError),
    /// Remains of an earlier run cannot be looked for.
    #[error(transparent)]
    Sweep(#[from] SweepError),
    /// No chance to be had.
    #[error("cannot draw a seed")]
    Seed(#[source] std::io::Error),
}

impl AgentError {
    /// What to do about it, if there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Machine(missing) => {
                let hints: Vec<&str> = missing.iter().filter_map(|reason| reason.hint.as_deref()).collect();
                (!hints.is_empty()).then(|| hints.join("; "))
            }
            Self::Identity(error) => error.hint(),
            Self::Record(error) => error.hint(),
            Self::Network(error) => error.hint().map(str::to_owned),
            _ => None,
        }
    }
}

/// The means every agent shares with the rest of its process.
#[derive(Clone)]
pub struct Stores {
    /// All images of the cloud on this machine.
    pub images: ImageStore,
    /// The share of the blocking pool for disk work.
    pub workers: Workers,
    /// Where images come from that are not here: another machine's store. None when this is the only one.
    pub peer: Option<Arc<dyn Peer>>,
}

/// An agent of one machine.
pub struct Agent;

impl Agent {
    /// Starts an agent: what runs is taken over, what nobody remembers is cleared away, then it registers.
    ///
    /// # Errors
    /// When the machine or the data directory does not allow it; then nothing was changed but directories made.
    pub async fn start(config: AgentConfig, link: Link, stores: Stores) -> Result<AgentHandle, AgentError> {
        check_tag(&config.cloud)?;
        let missing = preconditions::missing(&config.data);
        if !missing.is_empty() {
            return Err(AgentError::Machine(missing));
        }
        let boot_id = machine::boot_id().map_err(AgentError::Detect)?;
        let identity = Identity::open(&config.data, &boot_id, config.agent.as_ref())?;
        let (records, kept) = Records::open(&config.data, identity.is_after_reboot)?;
        identity::check_cluster(&config.data, &kept.agent, config.cluster.as_ref())?;
        if machine::free_disk(&config.data).is_ok_and(|free| free < preconditions::LEAST_FREE_DISK) {
            // What runs here must be taken over, which needs a few files.
            while records.reserve().give() {}
        }
        let info = machine::info(&config, identity.agent.clone()).map_err(AgentError::Detect)?;
        let seed = kogge_host::seed::draw().map_err(AgentError::Seed)?;

        let node_config = NodeConfig {
            max_starting: config.max_starting,
            kept_ended: config.kept_ended,
            ..NodeConfig::new(info, boot_id)
        };
        let group = TaskGroup::new("agent");
        let origin = Origin { identity, records, kept, seed, clock: Clock::start(), node_config };
        let assembled = assemble(&config, link, stores, origin, group.clone()).await;
        if assembled.is_err() {
            group.shutdown(FAILED_START_PATIENCE).await;
        }
        assembled
    }
}

/// What was found out before anything on the machine was touched.
struct Origin {
    identity: Identity,
    records: Records,
    kept: Kept,
    seed: [u8; 32],
    clock: Clock,
    node_config: NodeConfig,
}

/// Clears the machine of what nobody remembers, and sets everything in motion.
async fn assemble(
    config: &AgentConfig,
    link: Link,
    stores: Stores,
    origin: Origin,
    group: TaskGroup,
) -> Result<AgentHandle, AgentError> {
    let Origin { identity, records, kept, seed, clock, node_config } = origin;
    let reserve = records.reserve().clone();
    let (mailbox, inbox) = Mailbox::new();
    let name = node_config.info.name.clone();
    let machine = open_machine(config, name, stores, mailbox.clone(), &group).await?;
    let (known, living) = remembered(&kept.tasks);
    machine.sweep(&known, &living).await?;
    let recovering = living_ports(&kept.tasks);
    let ended: Vec<TaskId> = known.difference(&living).cloned().collect();
    let node = Node::restore(node_config, seed, kept.agent, kept.tasks);

    let (to_outbox, parcels) = mpsc::channel(outbox::CAPACITY);
    let decisions = Decisions::default();
    let (is_idle, idle) = watch::channel(node.is_idle());
    let reactor = Reactor {
        node,
        clock,
        mailbox: inbox,
        orders: Some(link.from_control),
        records,
        outbox: to_outbox,
        hands: Hands::new(Arc::clone(&machine), clock),
        decisions: decisions.clone(),
        is_idle,
    };
    let agent = identity.agent.clone();
    group.spawn("reactor", OnPanic::StopGroup, reactor.run(group.token()));
    group.spawn("outbox", OnPanic::StopGroup, outbox::run(agent, parcels, link.to_control));
    group.spawn("mend", OnPanic::Log, mend::run(machine.network.clone(), group.token()));
    let watching = room::run(config.data.clone(), reserve, mailbox.clone(), group.token());
    group.spawn("room", OnPanic::Log, watching);
    take_over(&machine, recovering, ended);
    Ok(AgentHandle::new(identity, machine, mailbox, decisions, group, idle))
}

/// The tag is part of a bridge's name, which has room for 15 characters.
fn check_tag(tag: &str) -> Result<(), AgentError> {
    let is_legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if (1..=8).contains(&tag.len()) && tag.bytes().all(is_legal) {
        Ok(())
    } else {
        Err(AgentError::Tag { tag: tag.to_owned() })
    }
}

async fn open_machine(
    config: &AgentConfig,
    name: String,
    stores: Stores,
    mailbox: Mailbox,
    group: &TaskGroup,
) -> Result<Arc<Machine>, AgentError> {
    let dirs = Dirs::new(&config.data, &config.runtime);
    let program = ShimProgram::open(&config.shim_program)
        .map_err(|source| AgentError::Program { path: config.shim_program.clone(), source })?;
    let snapshots = SnapshotStore::open(&dirs.snapshots, stores.workers)?;
    let network = NetworkConfig {
        cloud_tag: config.cloud.clone(),
        data_dir: config.data.join("network"),
        runtime_dir: config.runtime.join("network"),
        subnet: config.subnet,
        open_ports: config.open_ports.clone(),
    };
    // Not in the group of the work on tasks: what is released last still needs it.
    let network = Network::open(network, group).await?;
    Ok(Machine::new(Means {
        config: config.clone(),
        name,
        dirs,
        images: stores.images,
        peer: stores.peer,
        snapshots,
        network,
        program,
        mailbox,
        work: group.child("tasks"),
    }))
}

/// Every task there is a record of, and those that have not ended.
fn remembered(tasks: &[TaskRecord]) -> (BTreeSet<TaskId>, BTreeSet<TaskId>) {
    let known = tasks.iter().map(|record| record.task.clone()).collect();
    let living = tasks.iter().filter(|record| !is_ended(record)).map(|record| record.task.clone()).collect();
    (known, living)
}

fn is_ended(record: &TaskRecord) -> bool {
    matches!(record.recorded, Recorded::Ended(_))
}

/// The host ports of each task that has not ended.
fn living_ports(tasks: &[TaskRecord]) -> Vec<(TaskId, Vec<Port>)> {
    let living = tasks.iter().filter(|record| !is_ended(record));
    living
        .map(|record| {
            let ports = record.spec.iter().flat_map(|spec| &spec.ports).map(|binding| binding.host_port);
            (record.task.clone(), ports.collect())
        })
        .collect()
}

/// Looks what is left of each task, then lets the node speak with control. What ended tasks still hold is given back
/// meanwhile.
fn take_over(machine: &Arc<Machine>, recovering: Vec<(TaskId, Vec<Port>)>, ended: Vec<TaskId>) {
    let group = machine.work.clone();
    for task in ended {
        let name = format!("release {task}");
        group.spawn(name, OnPanic::Log, Arc::clone(machine).release(task));
    }
    let looks: Vec<_> = recovering
        .into_iter()
        .map(|(task, ports)| {
            let (said, heard) = tokio::sync::oneshot::channel();
            let name = format!("run {task}");
            group.spawn(name, OnPanic::Log, Arc::clone(machine).recover(task, ports, said));
            heard
        })
        .collect();
    let mailbox = machine.mailbox.clone();
    group.spawn("recovery", OnPanic::Log, async move {
        let all = futures_util::future::join_all(looks);
        if tokio::time::timeout(RECOVERY_PATIENCE, all).await.is_err() {
            tracing::warn!("some supervisors do not answer, registering without them");
        }
        mailbox.tell(Input::LinkUp).await;
    });
}
