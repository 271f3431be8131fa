//! An agent as the kernel sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kogge_model::agent::AgentInfo;
use kogge_model::attribute::Attributes;
use kogge_model::id::{AgentId, FrameworkId, OfferId, RunId, TaskId};
use kogge_model::resources::Resources;
use kogge_model::task::TaskStatus;
use kogge_model::time::Timestamp;

use crate::config::Config;
use crate::ledger::Ledger;
use crate::record::AgentRecord;
use crate::rules::Rules;

/// How an agent stands with this leader.
///
/// ```text
///  Expected ──register──▶ Ready ◀──any word── Suspect
///      │                    └──3 s silent──────▶ │
///      └──grace + 5 s silent──▶ Lost ◀──5 s silent┘
///                                └──register──▶ Ready
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Known from the records; it has not registered with this leader.
    Expected,
    /// Registered and talking.
    Ready,
    /// Registered and silent: it gets no new tasks.
    Suspect,
    /// Given up, and its tasks with it.
    Lost,
}

impl Phase {
    /// Its word for people and machines.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Expected => "expected",
            Self::Ready => "ready",
            Self::Suspect => "suspect",
            Self::Lost => "lost",
        }
    }

    /// Whether it has registered with this leader and was not given up: orders reach it, its words count.
    #[must_use]
    pub const fn is_registered(self) -> bool {
        match self {
            Self::Ready | Self::Suspect => true,
            Self::Expected | Self::Lost => false,
        }
    }
}

/// One agent.
#[derive(Debug, Clone)]
pub(crate) struct Agent {
    pub(crate) info: AgentInfo,
    /// What operators have said of it.
    pub(crate) rules: Rules,
    /// What it says of itself below what operators say of it.
    pub(crate) attributes: Arc<Attributes>,
    pub(crate) phase: Phase,
    pub(crate) last_seen: Timestamp,
    /// When it registered again with this leader, last.
    pub(crate) returned_at: Option<Timestamp>,
    pub(crate) ledger: Ledger,
    /// Tasks with a record, given up ones included.
    pub(crate) tasks: BTreeSet<TaskId>,
    /// Tasks it has that the kernel has no record of. They are never ended for that (G4).
    pub(crate) strays: BTreeMap<TaskId, Stray>,
    pub(crate) offers: BTreeSet<OfferId>,
    pub(crate) refusals: BTreeMap<FrameworkId, Refusal>,
    /// It was said that judging it waits.
    pub(crate) is_waited_for: bool,
    /// It was said that it is over-committed.
    pub(crate) is_told_over_committed: bool,
    /// Until then the agent is asked again now and then which tasks it has.
    pub(crate) doubt_until: Timestamp,
}

/// A task that an agent has and the kernel has no record of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// What its agent says of it.
    pub status: TaskStatus,
    /// What it holds.
    pub resources: Resources,
}

/// A framework does not want these resources of this agent for a while.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) until: Timestamp,
    pub(crate) resources: Resources,
    /// Void when the framework has revived since.
    pub(crate) revival: u64,
}

impl Agent {
    pub(crate) fn new(record: AgentRecord, phase: Phase, last_seen: Timestamp) -> Self {
        let AgentRecord { info, rules } = record;
        Self {
            attributes: Arc::new(rules.attributes(&info.attributes)),
            ledger: Ledger::new(rules.offerable(&info.resources)),
            info,
            rules,
            phase,
            last_seen,
            returned_at: None,
            tasks: BTreeSet::new(),
            strays: BTreeMap::new(),
            offers: BTreeSet::new(),
            refusals: BTreeMap::new(),
            is_waited_for: false,
            is_told_over_committed: false,
            doubt_until: Timestamp::ZERO,
        }
    }

    pub(crate) const fn id(&self) -> &AgentId {
        &self.info.agent
    }

    pub(crate) const fn is_draining(&self) -> bool {
        self.rules.drain.is_some()
    }

    /// Whether it gets no new tasks though it is there.
    pub(crate) const fn takes_nothing(&self) -> bool {
        self.is_draining() || self.info.closed.is_some()
    }

    /// Whether nobody counts on it any more: it was given up, or only waits for its judgement.
    pub(crate) const fn is_forgettable(&self) -> bool {
        match self.phase {
            Phase::Lost => true,
            Phase::Expected | Phase::Suspect => self.is_waited_for,
            Phase::Ready => false,
        }
    }

    pub(crate) fn record(&self) -> AgentRecord {
        AgentRecord { info: self.info.clone(), rules: self.rules.clone() }
    }

    /// It has `info` under `rules` from now on. All offers must have been taken back before.
    pub(crate) fn become_of(&mut self, info: AgentInfo, rules: Rules) {
        self.ledger.resize(rules.offerable(&info.resources));
        self.attributes = Arc::new(rules.attributes(&info.attributes));
        (self.info, self.rules) = (info, rules);
    }

    /// When its silence next means something.
    pub(crate) fn silence_deadline(&self, config: &Config) -> Timestamp {
        self.last_seen.plus(match self.phase {
            Phase::Expected => config.grace + config.lost_after,
            Phase::Ready => config.suspect_after,
            Phase::Suspect => config.lost_after,
            Phase::Lost => config.forget_agent_after,
        })
    }

    /// The stray `task`, if `run` is its launch.
    pub(crate) fn stray(&mut self, task: &TaskId, run: RunId) -> Option<&mut Stray> {
        self.strays.get_mut(task).filter(|stray| stray.status.run == run)
    }
}
