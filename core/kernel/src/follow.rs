//! Following: a kernel that is only looked at goes on with the records of the one that decides.

use std::collections::BTreeSet;
use std::sync::Arc;

use kogge_model::id::{AgentId, FrameworkId, TaskId};
use kogge_model::time::Timestamp;

use crate::agent::{Agent, Phase};
use crate::framework::Framework;
use crate::record::{AgentRecord, FrameworkRecord, Records};
use crate::state::Kernel;
use crate::task::Task;
use crate::timer::Timers;

/// What became of records since they were last read; each is named once.
#[derive(Debug, Clone, Default)]
pub struct RecordChanges {
    /// As they are now.
    pub saved: Records,
    /// Agents without a record now.
    pub forgotten_agents: Vec<AgentId>,
    /// Frameworks without a record now.
    pub forgotten_frameworks: Vec<FrameworkId>,
    /// Tasks without a record now.
    pub forgotten_tasks: Vec<TaskId>,
}

impl Kernel {
    /// Goes on to what the records are now, at the cost of what changed. What can be seen is the same as after
    /// [`Kernel::restore`] of all of them; but it has no deadlines any more, so nobody may decide with it.
    pub fn follow(&mut self, now: Timestamp, changes: RecordChanges) {
        let RecordChanges { saved, forgotten_agents, forgotten_frameworks, forgotten_tasks } = changes;
        // Tasks stand in the books of agents and frameworks: out of the old ones first, into the new ones last.
        for task in saved.tasks.iter().map(|record| &record.spec.task).chain(&forgotten_tasks) {
            self.take_out(task);
        }
        for agent in &forgotten_agents {
            if let Some(agent) = self.agents.remove(agent) {
                self.whole.sub(agent.ledger.total());
            }
        }
        self.follow_agents(now, saved.agents);
        for framework in &forgotten_frameworks {
            self.follow_forgotten(framework);
        }
        for record in saved.frameworks {
            self.follow_framework(now, record);
        }
        for record in saved.tasks {
            let is_inherited = record.is_confirmed();
            self.restore_task(Task { is_inherited, ..Task::new(record) });
        }
        self.newest_run = self.newest_run.max(saved.highest_run);
        self.saved_run = self.saved_run.max(saved.highest_run);
        self.timers = Timers::default();
    }

    /// The records that it follows, for [`Kernel::restore`]: whoever decides from now on begins with a kernel of his own.
    #[must_use]
    pub fn into_records(self) -> Records {
        let recorded = self.frameworks.into_values().filter(|known| known.failover_at.is_some());
        let frameworks =
            recorded.map(|known| FrameworkRecord { is_ending: known.is_ending, info: known.info });
        let agents = self.agents.into_values();
        Records {
            agents: agents.map(|agent| AgentRecord { info: agent.info, rules: agent.rules }).collect(),
            frameworks: frameworks.collect(),
            tasks: self.tasks.into_values().map(|task| Arc::unwrap_or_clone(task.record)).collect(),
            highest_run: self.saved_run,
        }
    }

    /// The opposite of [`Kernel::restore_task`].
    fn take_out(&mut self, id: &TaskId) {
        let Some(task) = self.tasks.remove(id) else { return };
        let record = task.record;
        self.away.forget(&record);
        if let Some(agent) = self.agents.get_mut(&record.status.agent)
            && agent.tasks.remove(id)
            && (record.is_live() || record.is_given_up())
        {
            agent.ledger.release(&record.spec.resources);
        }
        let Some(framework) = self.frameworks.get_mut(&record.framework) else { return };
        if framework.tasks.remove(&(record.status.run, id.clone())) && record.is_live() {
            framework.allocated.sub(&record.spec.resources);
        }
        // Without a record it is there for its tasks alone.
        if framework.tasks.is_empty() && framework.failover_at.is_none() {
            self.frameworks.remove(&record.framework);
        }
    }

    fn follow_agents(&mut self, now: Timestamp, records: Vec<AgentRecord>) {
        let mut fresh = BTreeSet::new();
        for record in records {
            let id = record.info.agent.clone();
            if let Some(agent) = self.agents.get_mut(&id) {
                self.whole.sub(agent.ledger.total());
                agent.become_of(record.info, record.rules);
                self.whole.add(agent.ledger.total());
            } else {
                let agent = Agent::new(record, Phase::Expected, now);
                self.whole.add(agent.ledger.total());
                self.agents.insert(id.clone(), agent);
                fresh.insert(id);
            }
        }
        if !fresh.is_empty() {
            self.give_tasks_to(&fresh);
        }
    }

    /// Agents that have a record again may have tasks already.
    fn give_tasks_to(&mut self, fresh: &BTreeSet<AgentId>) {
        let is_of_one = |task: &&Task| fresh.contains(&task.record.status.agent);
        let tasks: Vec<Task> = self.tasks.values().filter(is_of_one).cloned().collect();
        for task in tasks {
            self.take_out(task.id());
            self.restore_task(task);
        }
    }

    fn follow_framework(&mut self, now: Timestamp, record: FrameworkRecord) {
        let id = record.info.framework.clone();
        let known = self.frameworks.entry(id).or_insert_with(|| Framework::new(record.info.clone()));
        known.info = record.info;
        known.is_ending = record.is_ending;
        known.failover_at = Some(now.plus(self.config.grace + known.failover()));
    }

    /// One that has tasks still is kept for them, as without a record from the beginning.
    fn follow_forgotten(&mut self, id: &FrameworkId) {
        let Some(gone) = self.frameworks.remove(id) else { return };
        if !gone.tasks.is_empty() {
            let Framework { tasks, allocated, .. } = gone;
            let unrecorded = Framework { tasks, allocated, ..Framework::unrecorded(id) };
            self.frameworks.insert(id.clone(), unrecorded);
        }
    }
}
