//! The agent as the rest of its process sees it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kogge_containers::image::Protocol;
use kogge_containers::network::NetworkError;
use kogge_containers::snapshot::SnapshotError;
use kogge_host::tasks::TaskGroup;
use kogge_model::decision::Decision;
use kogge_model::digest::Digest;
use kogge_model::id::{AgentId, TaskId};
use kogge_model::reason::Reason;
use kogge_model::view::exec::ExecRequest;
use kogge_node::{Input, TaskView};
use kogge_shim::protocol::{LimitChange, TaskStats};
use tokio::sync::watch;

use crate::decisions::Decisions;
use crate::exec::ExecSession;
use crate::identity::Identity;
use crate::logs::{LogBatches, LogWish};
use crate::loops::reactor::Mailbox;
use crate::sentence;
use crate::tasks::Machine;

/// Beyond the longest grace: killing, and clearing away.
const CLOSING_SLACK: Duration = Duration::from_secs(20);

/// How long work under way may take when tasks are kept.
const KEEPING_PATIENCE: Duration = Duration::from_secs(10);

/// What becomes of the tasks when their agent is shut down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaving {
    /// They run on; the next agent on the same data directory takes them over.
    Keep,
    /// They are ended, all at once, each within its grace, and nothing of the cloud is left on the machine but its
    /// data directory.
    End(Reason),
}

/// A running agent. Clones share it.
#[derive(Clone)]
pub struct AgentHandle {
    inner: Arc<Inner>,
}

struct Inner {
    identity: Identity,
    machine: Arc<Machine>,
    mailbox: Mailbox,
    decisions: Decisions,
    group: TaskGroup,
    idle: watch::Receiver<bool>,
}

impl AgentHandle {
    pub(crate) fn new(
        identity: Identity,
        machine: Arc<Machine>,
        mailbox: Mailbox,
        decisions: Decisions,
        group: TaskGroup,
        idle: watch::Receiver<bool>,
    ) -> Self {
        Self { inner: Arc::new(Inner { identity, machine, mailbox, decisions, group, idle }) }
    }

    /// Its lasting identity.
    #[must_use]
    pub fn id(&self) -> &AgentId {
        &self.inner.identity.agent
    }

    /// Resolves when the agent has ended, with the reason if it was a failure.
    pub async fn ended(&self) -> Option<String> {
        self.inner.group.cancelled().await;
        self.inner.group.has_failed()
    }

    /// Every task it has not forgotten, ended ones too. Empty when the agent has ended.
    pub async fn tasks(&self) -> Vec<TaskView> {
        self.inner.mailbox.look(|node| node.tasks().collect()).await.unwrap_or_default()
    }

    /// One task.
    pub async fn task(&self, task: &TaskId) -> Option<TaskView> {
        let task = task.clone();
        self.inner.mailbox.look(move |node| node.task(&task)).await.flatten()
    }

    /// A new session with control begins: the agent presents itself, as soon as it knows what runs here.
    pub async fn session_begun(&self) {
        self.inner.mailbox.tell(Input::SessionBegun).await;
    }

    /// Whether control has accepted this agent.
    pub async fn is_registered(&self) -> bool {
        self.inner.mailbox.look(|node| node.is_registered()).await.unwrap_or(false)
    }

    /// Manifests of images that tasks here run or are about to: not to be collected (G21).
    pub async fn pinned_images(&self) -> BTreeSet<Digest> {
        self.inner.mailbox.look(|node| node.pinned_images()).await.unwrap_or_default()
    }

    /// Layers below the file systems of tasks here: not to be collected either.
    ///
    /// # Errors
    /// When a file system's description cannot be read; then nothing should be collected.
    pub async fn layers_in_use(&self) -> Result<BTreeSet<Digest>, SnapshotError> {
        self.inner.machine.snapshots.layers_in_use().await
    }

    /// Lets tasks on the bridge reach these listeners of this machine, and no others.
    ///
    /// # Errors
    /// When the firewall refuses.
    pub async fn open_ports(&self, ports: Vec<(Protocol, u16)>) -> Result<(), NetworkError> {
        self.inner.machine.network.open_ports(ports).await
    }

    /// The newest decisions about `task`, or about everything; oldest first.
    #[must_use]
    pub fn decisions(&self, task: Option<&TaskId>) -> Vec<Decision> {
        self.inner.decisions.about(task)
    }

    /// Runs a program inside a running task.
    ///
    /// # Errors
    /// When the task does not run here, or the program cannot be started.
    pub async fn exec(&self, task: &TaskId, request: ExecRequest) -> Result<ExecSession, Reason> {
        self.check_known(task).await?;
        self.inner.machine.exec(task, request).await
    }

    /// A network namespace on the cloud's bridge for work that is no task, such as a build: it reaches out, but none
    /// of this machine's own doors.
    ///
    /// # Errors
    /// When the kernel or `nft` refuses.
    pub async fn open_namespace(&self, name: &str) -> Result<PathBuf, Reason> {
        let attached = self.inner.machine.network.attach(name, &[]).await;
        attached.map(|attachment| attachment.namespace).map_err(|error| Reason::new(sentence::of(&error)))
    }

    /// Takes such a namespace away.
    pub async fn close_namespace(&self, name: &str) {
        if let Err(error) = self.inner.machine.network.detach(name).await {
            tracing::warn!(name, %error, "a namespace could not be taken away; the next start will");
        }
    }

    /// Captured lines of `tasks`, merged by time; tasks that are not known here have none.
    ///
    /// # Errors
    /// When logs cannot be read.
    pub async fn logs(&self, tasks: Vec<TaskId>, wish: LogWish) -> Result<LogBatches, Reason> {
        let mut known = Vec::new();
        for task in tasks {
            if self.inner.mailbox.knows(task.clone()).await {
                known.push(task);
            }
        }
        self.inner.machine.logs(&known, wish)
    }

    /// What a running task uses now.
    ///
    /// # Errors
    /// When the task does not run here.
    pub async fn stats(&self, task: &TaskId) -> Result<TaskStats, Reason> {
        self.check_known(task).await?;
        self.inner.machine.shim(task).stats().await.map_err(|error| Reason::new(sentence::of(&error)))
    }

    /// Changes limits of a running task.
    ///
    /// # Errors
    /// When the task does not run here, or the kernel does not take a limit.
    pub async fn update_limits(&self, task: &TaskId, change: LimitChange) -> Result<(), Reason> {
        self.check_known(task).await?;
        self.inner.machine.shim(task).update(change).await.map_err(|error| Reason::new(sentence::of(&error)))
    }

    /// Ids come from outside: only those of known tasks may name files.
    async fn check_known(&self, task: &TaskId) -> Result<(), Reason> {
        if self.inner.mailbox.knows(task.clone()).await {
            return Ok(());
        }
        Err(Reason::new(format!("task {task} is not known on this agent")))
    }

    /// Shuts the agent down. Returns the names of what did not end in time and was cut off.
    pub async fn shutdown(&self, leaving: Leaving) -> Vec<String> {
        let inner = &self.inner;
        let mut laggards = Vec::new();
        match leaving {
            Leaving::Keep => laggards.extend(inner.machine.work.shutdown(KEEPING_PATIENCE).await),
            Leaving::End(reason) => {
                laggards.extend(self.end_tasks(reason).await);
                laggards.extend(inner.machine.work.shutdown(CLOSING_SLACK).await);
                inner.machine.tear_down().await;
            }
        }
        laggards.extend(inner.group.shutdown(KEEPING_PATIENCE).await);
        laggards
    }

    /// Ends every task; tells which are still there when the longest grace is long over.
    async fn end_tasks(&self, reason: Reason) -> Vec<String> {
        let inner = &self.inner;
        let longest = inner.mailbox.look(|node| {
            let specs = node.tasks().filter(|task| !task.state.is_terminal()).filter_map(|task| task.spec);
            specs.map(|spec| spec.template.kill_grace()).max().unwrap_or_default()
        });
        let patience = longest.await.unwrap_or_default() + CLOSING_SLACK;
        inner.mailbox.tell(Input::StopAll { reason }).await;
        let ended = async {
            // Asked of the node itself: the watched value may still be that of before the order.
            while inner.mailbox.look(|node| node.is_idle()).await == Some(false) {
                let mut idle = inner.idle.clone();
                let _ =
                    tokio::time::timeout(Duration::from_millis(100), idle.wait_for(|is_idle| *is_idle)).await;
            }
        };
        if tokio::time::timeout(patience, ended).await.is_ok() {
            return Vec::new();
        }
        let left = self.tasks().await.into_iter().filter(|task| !task.state.is_terminal());
        left.map(|task| format!("task {}", task.task)).collect()
    }
}
