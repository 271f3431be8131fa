//! The node itself: one owner of the control flow, the duties are in the `plan_` files.

use std::collections::{BTreeMap, VecDeque};

use kogge_model::id::TaskId;
use kogge_model::reason::Reason;
use kogge_model::time::Timestamp;

use crate::chance::Chance;
use crate::config::NodeConfig;
use crate::effect::Effects;
use crate::input::Input;
use crate::plan_link::{Link, Refusal};
use crate::plan_repeat::Repeats;
use crate::record::{AgentRecord, TaskRecord};
use crate::state::Task;

/// The decisions of one machine.
#[derive(Debug, Clone)]
pub struct Node {
    pub(crate) config: NodeConfig,
    pub(crate) agent: AgentRecord,
    pub(crate) link: Link,
    pub(crate) tasks: BTreeMap<TaskId, Task>,
    /// Tasks in [`crate::state::Phase::Queued`], first come, first served.
    pub(crate) queue: VecDeque<TaskId>,
    /// Why everything is being ended, once it is.
    pub(crate) closing: Option<Reason>,
    /// When ended tasks are looked through for what need not be kept.
    pub(crate) collect_due: Option<Timestamp>,
    pub(crate) chance: Chance,
    pub(crate) repeats: Repeats,
    /// The last order that was refused for its authority, so that repeats are explained once.
    pub(crate) last_refusal: Option<Refusal>,
}

impl Node {
    /// A node on a machine that never had one.
    #[must_use]
    pub fn new(config: NodeConfig, seed: [u8; 32]) -> Self {
        Self::restore(config, seed, AgentRecord::default(), Vec::new())
    }

    /// A node that goes on from what an earlier one saved. Say next, with [`Input::Recovered`], what is left of each
    /// of [`Node::recovering`].
    #[must_use]
    pub fn restore(config: NodeConfig, seed: [u8; 32], agent: AgentRecord, tasks: Vec<TaskRecord>) -> Self {
        let mut node = Self {
            config,
            agent,
            link: Link::Away,
            tasks: BTreeMap::new(),
            queue: VecDeque::new(),
            closing: None,
            collect_due: Some(Timestamp::ZERO),
            chance: Chance::new(seed),
            repeats: Repeats::default(),
            last_refusal: None,
        };
        for record in tasks {
            node.remember(record);
        }
        node
    }

    /// Takes in one thing that happened; what it leads to is appended to `effects`, in order.
    pub fn handle(&mut self, now: Timestamp, input: Input, effects: &mut Effects) {
        match input {
            Input::LinkUp => self.connect(now),
            Input::LinkDown => self.link = Link::Away,
            Input::SessionBegun => self.introduce(now),
            Input::FromControl(message) => self.hear(now, message, effects),
            Input::Recovered { task, found } => self.recover(now, &task, found, effects),
            Input::Fetching { task, reason } => self.fetching(now, &task, reason, effects),
            Input::Fetched { task } => self.fetched(&task),
            Input::Started { task, pid, started_at, ip } => {
                self.started(now, &task, (pid, started_at, ip), effects);
            }
            Input::StartFailed { task, reason, is_permanent } => {
                self.start_failed(now, &task, reason, is_permanent, effects);
            }
            Input::Exited { task, exit, at, oom_kills } => {
                self.exited(now, &task, (exit, at, oom_kills), effects);
            }
            Input::LeaseEnded { task } => self.lease_ended(now, &task, effects),
            Input::ShimLost { task, reason } => self.shim_lost(now, &task, reason, effects),
            Input::Gone { task } => self.gone(now, &task, effects),
            Input::ProbeResult { task, number, result } => self.probed(now, &task, number, result, effects),
            Input::Collected { task } => self.collected(&task, effects),
            Input::Closed { why } => self.close(now, why, effects),
            Input::StopAll { reason } => self.stop_all(now, &reason, effects),
            Input::Tick => {}
        }
        self.advance(now, effects);
    }

    /// When to come again with [`Input::Tick`] if nothing happens before.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        let of_tasks = self.tasks.values().filter_map(|task| {
            let own = [self.send_due(task), Self::stop_due(task), Self::probe_due(task), self.ask_due(task)];
            own.into_iter().flatten().min()
        });
        of_tasks.chain(self.link.due()).chain(self.collect_due).min()
    }

    /// Does everything that is due. Mostly nothing is, which one look at the tasks tells.
    fn advance(&mut self, now: Timestamp, effects: &mut Effects) {
        if self.is_due(now) {
            self.keep_link(now, effects);
            self.ask_leases(now, effects);
        } else if self.queue.is_empty() {
            return;
        }
        self.start_queued(now, effects);
        if self.is_due(now) {
            self.escalate(now, effects);
            self.probe(now, effects);
            self.resend(now, effects);
            self.collect(now, effects);
        }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.next_wakeup().is_some_and(|due| due <= now)
    }
}
