//! Single-copy tasks (G9): who may live on, and when one that nobody hears of is dead for certain.
//!
//! A task lives on leases that only the kernel grants and that its supervisor enforces. So one that was never granted
//! any never ran, and every other is dead a while after its last grant, whatever became of its agent. Until then it is
//! not given up. A new leader does not know the last grant: it counts from its own beginning. Nor does it know whether
//! its records are all there were: who was set back to an older state has forgotten the copy that lives. So a copy that
//! is new to it gets no lease until every one that was granted before it is over.
//!
//! A service may have been an ordinary one before, or its name that of one. Its copies from then know of no lease: one
//! on an agent that is away is waited for before a single copy gets its first.

use kogge_model::id::{AgentId, RunId, TaskId};
use kogge_model::lease::Lease;
use kogge_model::link::ToAgent;
use kogge_model::reason::Reason;
use kogge_model::task::TaskState;
use kogge_model::time::Timestamp;

use crate::agent::Phase;
use crate::effect::{Effect, Effects};
use crate::explain;
use crate::record::TaskRecord;
use crate::state::Kernel;
use crate::timer::Timer;

/// Why a single copy gets no lease yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// Another copy may live that the records have forgotten, until then by the steady clock.
    ForgottenCopy(Timestamp),
    /// An ordinary copy of its service may live on an agent that is away.
    AwayCopy(TaskId),
}

impl Kernel {
    /// The task of a registered agent wants to live on. Who was given up, or is not on record, hears nothing: it may
    /// have been replaced.
    pub(crate) fn grant_lease(
        &mut self,
        agent: &AgentId,
        (id, run): (TaskId, RunId),
        ticket: u64,
        effects: &mut Effects,
    ) {
        let now = self.clock.steady();
        let Some(task) = self.tasks.get(&id) else { return };
        let (record, status) = (&task.record, &task.record.status);
        if !record.is_live() || status.run != run || status.agent != *agent {
            return;
        }
        let Some(lease) = record.spec.template.lease() else { return };
        let obstacle = self.obstacle(record, lease, task.is_inherited);
        let task = self.tasks.get_mut(&id).expect("it was just seen");
        let is_news = task.obstacle != obstacle;
        task.obstacle.clone_from(&obstacle);
        if let Some(obstacle) = obstacle {
            if is_news {
                self.tell_obstacle(&id, &obstacle, effects);
            }
            return;
        }
        task.leased_until = task.leased_until.max(Some(now.plus(lease.replacement())));
        effects.push(Effect::to_agent(agent, ToAgent::GrantLease { task: id, run, ticket }));
    }

    /// What is in the way of a single copy that asks for a lease.
    fn obstacle(&self, record: &TaskRecord, lease: Lease, is_inherited: bool) -> Option<Obstacle> {
        let free_at = self.began_at.plus(lease.replacement());
        if !(self.config.is_founder || is_inherited) && self.clock.steady() < free_at {
            return Some(Obstacle::ForgottenCopy(free_at));
        }
        match record.status.state {
            TaskState::Staging | TaskState::Starting => {
                let service = &record.spec.instance.as_ref()?.service;
                self.away.first(service).cloned().map(Obstacle::AwayCopy)
            }
            // It was granted its first when nothing was in the way.
            TaskState::Running(_) | TaskState::Stopping | TaskState::Ended(_) => None,
        }
    }

    fn tell_obstacle(&self, id: &TaskId, obstacle: &Obstacle, effects: &mut Effects) {
        let reason = match obstacle {
            Obstacle::ForgottenCopy(until) => {
                let left = until.saturating_since(self.clock.steady()).as_secs() + 1;
                Reason::new(format!(
                    "this server has led for a short while only, and leases granted before are not over yet: the \
                     single copy starts in {left} s"
                ))
            }
            Obstacle::AwayCopy(other) => self.waits_for_copy(other),
        };
        effects.push(explain::about(self.clock.wall(), &self.tasks[id].record.spec, "wait", reason));
    }

    /// An ordinary copy is away, or its agent is back and just ends it.
    fn waits_for_copy(&self, other: &TaskId) -> Reason {
        let id = &self.tasks[other].record.status.agent;
        let agent = self.agents.get(id);
        let name = agent.map_or(id.as_str(), |agent| &agent.info.name);
        if agent.is_some_and(|agent| agent.phase.is_registered()) {
            return format!(
                "agent {name} is back and ends {other} first, a copy from before the service was single"
            )
            .into();
        }
        let text = format!(
            "{other}, a copy from before the service was single, may live on agent {name}, which is not heard of"
        );
        let hint = format!(
            "it starts when {name} is back; if that machine is dead for certain: kogge node forget {name}"
        );
        Reason::new(text).with_hint(hint)
    }

    /// An earlier leader may have granted it a lease just now.
    pub(crate) fn presume_lease(&mut self, id: &TaskId) {
        let now = self.clock.steady();
        let Some(task) = self.tasks.get_mut(id).filter(|task| task.record.is_live()) else { return };
        if let Some(lease) = task.record.spec.template.lease() {
            task.leased_until = Some(now.plus(lease.replacement()));
            self.await_lease_end(id);
        }
    }

    /// Until when the task may be alive though nobody hears of it; none if it is dead for certain, or need not be.
    pub(crate) fn leased_until(&self, id: &TaskId) -> Option<Timestamp> {
        self.tasks.get(id)?.leased_until.filter(|until| *until > self.clock.steady())
    }

    /// Gives `id` up now, or when its lease is over.
    pub(crate) fn give_up_in_time(&mut self, id: &TaskId, why: Reason, effects: &mut Effects) {
        let Some(until) = self.leased_until(id) else { return self.give_up(id, why, effects) };
        self.await_lease_end(id);
        let (at, task) = (self.clock.wall(), &self.tasks[id]);
        let left = until.saturating_since(self.clock.steady()).as_secs() + 1;
        let lease = task.record.spec.template.lease().map(Lease::length).unwrap_or_default();
        let text = format!(
            "{why}: its single copy may live there until its lease of {} s is over, and is replaced in {left} s unless \
             it is known to be dead before",
            lease.as_secs_f64()
        );
        effects.push(explain::about(at, &task.record.spec, "wait", Reason::new(text)));
    }

    /// An agent that was forgotten is back before the leases of its single copies were over.
    pub(crate) fn reclaim_copies(&mut self, agent: &AgentId) {
        let is_its = |task: &&crate::task::Task| task.record.is_live() && task.record.status.agent == *agent;
        for task in self.tasks.values().filter(is_its) {
            let Some(known) = self.agents.get_mut(agent) else { return };
            if known.tasks.insert(task.id().clone()) {
                known.ledger.hold(&task.record.spec.resources);
            }
        }
    }

    fn await_lease_end(&mut self, id: &TaskId) {
        let Some(until) = self.leased_until(id) else { return };
        let left = until.saturating_since(self.clock.steady());
        let run = self.tasks[id].record.status.run;
        self.timers.arm(self.now().plus(left), Timer::Lease(run, id.clone()));
    }

    /// A lease may be over: whose agent is not here then is dead.
    pub(crate) fn judge_lease(&mut self, id: &TaskId, effects: &mut Effects) {
        let Some(task) = self.tasks.get(id).filter(|task| task.record.is_live()) else { return };
        if self.leased_until(id).is_some() {
            return self.await_lease_end(id);
        }
        let agent = self.agents.get(&task.record.status.agent);
        let phase = agent.map(|agent| agent.phase);
        if phase.is_some_and(|phase| phase != Phase::Lost) {
            return;
        }
        let name = agent.map_or(task.record.status.agent.as_str(), |agent| &agent.info.name);
        let why =
            format!("agent {name} is not heard of, and the lease of its single copy is over: it is dead");
        self.give_up(id, why.into(), effects);
        if phase.is_none() {
            // Nobody will come to say that it is over.
            self.forget(id, effects);
        }
    }
}
