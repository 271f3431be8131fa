//! Everything a node can ask for. The order is a contract: persist, then act or send; the driver never reorders.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kogge_model::decision::Decision;
use kogge_model::id::{RunId, TaskId};
use kogge_model::link::ToControl;
use kogge_model::task::TaskSpec;
use kogge_model::time::Timestamp;

use crate::record::{AgentRecord, TaskRecord};

/// What one input led to, in order.
pub type Effects = Vec<Effect>;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Keep this in place of the agent's own record.
    SaveAgent(AgentRecord),
    /// Keep this in place of the task's record.
    Save(Box<TaskRecord>),
    /// Drop the task's record.
    Forget(TaskId),
    /// Bring it up: image, snapshot, network, bundle, supervisor. Remains of an earlier attempt are removed first.
    /// Answered by [`crate::Input::Started`] or [`crate::Input::StartFailed`].
    Start {
        /// Which launch.
        run: RunId,
        /// What to run.
        spec: Arc<TaskSpec>,
    },
    /// A single-copy task must be dead by then, however the agent fares: its supervisor is to see to it. Comes before its
    /// start and again with each renewal; an earlier time than the last one never comes.
    Lease {
        /// Which.
        task: TaskId,
        /// Its end, by the clock that the node is given.
        until: Timestamp,
    },
    /// Give up a start in progress. Its answer still comes; it may be that it started after all.
    CancelStart(TaskId),
    /// Tell a running task to end. The answer is [`crate::Input::Exited`] or [`crate::Input::ShimLost`].
    Signal {
        /// Which.
        task: TaskId,
        /// How.
        signal: StopSignal,
    },
    /// Kill everything in the task's cgroup, with no supervisor's help, until nothing is left. Repeats are harmless.
    /// Answered by [`crate::Input::Gone`].
    MakeSure(TaskId),
    /// Give back what an ended task held: network, mounts, cgroup. Its logs stay.
    Release(TaskId),
    /// Ask once. Answered by [`crate::Input::ProbeResult`] within the timeout.
    Probe {
        /// Which.
        task: TaskId,
        /// Counts the probes of the task.
        number: u64,
        /// Whom and what.
        target: ProbeTarget,
        /// No answer by then is a failure.
        timeout: Duration,
    },
    /// Say this to control.
    Send(ToControl),
    /// Remove everything that is left of an ended task, its logs too. Answered by [`crate::Input::Collected`].
    Collect(TaskId),
    /// Keep this to be read afterwards.
    Explain(Decision),
}

/// How a task is told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopSignal {
    /// The image's stop signal, SIGTERM by default, to its first process.
    Stop,
    /// SIGKILL to its whole cgroup.
    Kill,
}

/// Whom a probe asks what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeTarget {
    /// `GET path` answers with a status from 200 to 399.
    Http {
        /// Where.
        address: SocketAddr,
        /// Absolute path, may have a query.
        path: String,
    },
    /// A connection is accepted.
    Tcp {
        /// Where.
        address: SocketAddr,
    },
    /// The command, run inside the container, ends with exit code 0.
    Command {
        /// Program and arguments.
        argv: Vec<String>,
    },
}
