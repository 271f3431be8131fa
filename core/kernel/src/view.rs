//! What can be seen of a kernel from outside.

use kogge_model::agent::AgentInfo;
use kogge_model::attribute::Attributes;
use kogge_model::id::{AgentId, FrameworkId, OfferId, RunId, TaskId};
use kogge_model::reason::Reason;
use kogge_model::resources::Resources;
use kogge_model::scheduler::FrameworkInfo;
use kogge_model::time::Timestamp;

use crate::agent::{Agent, Phase, Stray};
use crate::explain;
use crate::quantity::Quantities;
use crate::record::TaskRecord;
use crate::rules::Rules;
use crate::state::Kernel;

/// A read-only look at a kernel.
#[derive(Debug, Clone, Copy)]
pub struct View<'a>(&'a Kernel);

/// One agent as it stands.
#[derive(Debug, Clone, Copy)]
pub struct AgentView<'a>(&'a Agent);

/// One framework as it stands.
#[derive(Debug, Clone, Copy)]
pub struct FrameworkView<'a> {
    /// As it presented itself.
    pub info: &'a FrameworkInfo,
    /// Whether it can be told anything.
    pub is_connected: bool,
    /// What its tasks and offers hold.
    pub allocated: Quantities,
}

/// One offer that is out.
#[derive(Debug, Clone, Copy)]
pub struct OfferView<'a> {
    /// Its number.
    pub id: OfferId,
    /// Who may accept it.
    pub framework: &'a FrameworkId,
    /// Whose resources it holds.
    pub agent: &'a AgentId,
    /// Which.
    pub resources: &'a Resources,
}

impl Kernel {
    /// A look at everything.
    #[must_use]
    pub const fn view(&self) -> View<'_> {
        View(self)
    }
}

impl<'a> View<'a> {
    /// All agents that are not forgotten, in order of their ids.
    pub fn agents(self) -> impl Iterator<Item = AgentView<'a>> {
        self.0.agents.values().map(AgentView)
    }

    /// One agent.
    #[must_use]
    pub fn agent(self, agent: &AgentId) -> Option<AgentView<'a>> {
        self.0.agents.get(agent).map(AgentView)
    }

    /// All tasks with a record, in order of their ids: also those that were given up, see
    /// [`TaskRecord::is_given_up`].
    pub fn tasks(self) -> impl Iterator<Item = &'a TaskRecord> {
        self.0.tasks.values().map(|task| &*task.record)
    }

    /// One task.
    #[must_use]
    pub fn task(self, task: &TaskId) -> Option<&'a TaskRecord> {
        self.0.tasks.get(task).map(|task| &*task.record)
    }

    /// All frameworks, in order of their ids.
    pub fn frameworks(self) -> impl Iterator<Item = FrameworkView<'a>> {
        self.0.frameworks.values().map(|known| FrameworkView {
            info: &known.info,
            is_connected: known.is_connected,
            allocated: known.allocated,
        })
    }

    /// All offers that are out, in the order they were made.
    pub fn offers(self) -> impl Iterator<Item = OfferView<'a>> {
        self.0.offers.iter().map(|(id, open)| OfferView {
            id: *id,
            framework: &open.framework,
            agent: &open.agent,
            resources: &open.resources,
        })
    }

    /// The newest launch.
    #[must_use]
    pub const fn newest_run(self) -> RunId {
        self.0.newest_run
    }

    /// Why `framework` cannot place a task of this size now, agent by agent in sum.
    #[must_use]
    pub fn why_no_place(self, framework: &FrameworkId, need: &Resources) -> Reason {
        explain::no_place(self.0, framework, need)
    }
}

impl<'a> AgentView<'a> {
    /// As it presented itself.
    #[must_use]
    pub const fn info(self) -> &'a AgentInfo {
        &self.0.info
    }

    /// What operators have said of it.
    #[must_use]
    pub const fn rules(self) -> &'a Rules {
        &self.0.rules
    }

    /// What constraints can ask for: its own attributes below the labels.
    #[must_use]
    pub fn attributes(self) -> &'a Attributes {
        &self.0.attributes
    }

    /// Whether it is being drained and something of it is left: tasks that are not over, whether known or not, also
    /// those that were given up and may still run.
    #[must_use]
    pub fn is_emptying(self) -> bool {
        self.0.is_draining() && !(self.0.tasks.is_empty() && self.0.strays.is_empty())
    }

    /// Whether an operator may have it forgotten: it was given up, or only waits for its judgement.
    #[must_use]
    pub const fn is_forgettable(self) -> bool {
        self.0.is_forgettable()
    }

    /// How it stands with this leader.
    #[must_use]
    pub const fn phase(self) -> Phase {
        self.0.phase
    }

    /// When it last said something.
    #[must_use]
    pub const fn last_seen(self) -> Timestamp {
        self.0.last_seen
    }

    /// What its tasks hold: live ones, unknown ones, and given up ones that may still run.
    #[must_use]
    pub const fn held(self) -> Quantities {
        self.0.ledger.held()
    }

    /// What is neither held nor offered.
    #[must_use]
    pub fn free(self) -> Resources {
        self.0.ledger.free()
    }

    /// Whether its tasks hold more than it has.
    #[must_use]
    pub fn is_over_committed(self) -> bool {
        self.0.ledger.is_over_committed()
    }

    /// The tasks it should have, given up ones included.
    pub fn tasks(self) -> impl Iterator<Item = &'a TaskId> {
        self.0.tasks.iter()
    }

    /// Tasks that it has and the kernel has no record of.
    pub fn strays(self) -> impl Iterator<Item = &'a Stray> {
        self.0.strays.values()
    }
}
