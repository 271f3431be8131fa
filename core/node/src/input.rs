//! Everything a node can be told.

use std::net::IpAddr;

use kogge_model::id::TaskId;
use kogge_model::link::FromControl;
use kogge_model::reason::Reason;
use kogge_model::task::Exit;
use kogge_model::time::Timestamp;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Messages reach control from now on.
    LinkUp,
    /// They do not any more.
    LinkDown,
    /// A new session with control begins, perhaps with another server: what was said before may have gone nowhere.
    SessionBegun,
    /// Control said something.
    FromControl(FromControl),
    /// What was found of a restored task; said once for each task of [`crate::Node::recovering`].
    Recovered {
        /// Whose.
        task: TaskId,
        /// What there is.
        found: Found,
    },
    /// Before the answer to [`crate::Effect::Start`]: it waits for its image, which comes over the network. Said again
    /// as that goes on; it takes none of the places of those that start.
    Fetching {
        /// Whose.
        task: TaskId,
        /// What it waits for, and how far that is.
        reason: Reason,
    },
    /// After [`Input::Fetching`]: the image is here, and the start goes on.
    Fetched {
        /// Whose.
        task: TaskId,
    },
    /// Answers [`crate::Effect::Start`]: the process runs.
    Started {
        /// Whose.
        task: TaskId,
        /// The process.
        pid: u32,
        /// When it was started.
        started_at: Timestamp,
        /// Where its ports are reached from this machine.
        ip: IpAddr,
    },
    /// Answers [`crate::Effect::Start`]: nothing runs, and nothing was left behind.
    StartFailed {
        /// Whose.
        task: TaskId,
        /// Which step failed, and what one can do.
        reason: Reason,
        /// Whether this machine can never run it.
        is_permanent: bool,
    },
    /// The process ended, however it was brought about.
    Exited {
        /// Whose.
        task: TaskId,
        /// How.
        exit: Exit,
        /// When.
        at: Timestamp,
        /// Processes of the task that the kernel killed for lack of memory; the first one need not be among them.
        oom_kills: u64,
    },
    /// The task's supervisor has told it to end because its lease is over, or has ended it. [`Input::Exited`] follows.
    LeaseEnded {
        /// Whose.
        task: TaskId,
    },
    /// The task's supervisor does not answer any more.
    ShimLost {
        /// Whose.
        task: TaskId,
        /// How that was noticed.
        reason: Reason,
    },
    /// Answers [`crate::Effect::MakeSure`]: no process of the task is left.
    Gone {
        /// Whose.
        task: TaskId,
    },
    /// Answers [`crate::Effect::Probe`].
    ProbeResult {
        /// Whose.
        task: TaskId,
        /// The probe's number.
        number: u64,
        /// What it found, a failure with its reason.
        result: Result<(), Reason>,
    },
    /// Answers [`crate::Effect::Collect`].
    Collected {
        /// Whose remains are gone.
        task: TaskId,
    },
    /// The machine has no room for more, and why; or it has again. What runs goes on.
    Closed {
        /// None when it takes tasks again.
        why: Option<Reason>,
    },
    /// The cloud is being taken down: end every task, start no more.
    StopAll {
        /// Why, for people.
        reason: Reason,
    },
    /// Time has passed.
    Tick,
}

/// What there is of a task that an earlier agent process had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Its supervisor answers: it runs.
    Running {
        /// The process.
        pid: u32,
        /// When it was started.
        started_at: Timestamp,
        /// Where its ports are reached from this machine.
        ip: IpAddr,
    },
    /// Its supervisor left word of the end.
    Exited {
        /// How.
        exit: Exit,
        /// When.
        at: Timestamp,
        /// Processes of the task that the kernel killed for lack of memory; the first one need not be among them.
        oom_kills: u64,
    },
    /// There was a supervisor, and it is gone without a word.
    Lost {
        /// How that was noticed.
        reason: Reason,
    },
    /// No supervisor was ever started.
    Nothing,
}
