//! Tasks launched on offers: all of a call or nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kogge_model::id::{AgentId, FrameworkId, OfferId, RunId, TaskId};
use kogge_model::link::ToAgent;
use kogge_model::reason::Reason;
use kogge_model::resources::Resources;
use kogge_model::scheduler::Event;
use kogge_model::task::{Ended, Outcome, TaskSpec, TaskState, TaskStatus};
use kogge_model::time::Timestamp;

use crate::agent::Agent;
use crate::effect::{Effect, Effects};
use crate::explain;
use crate::record::TaskRecord;
use crate::state::Kernel;
use crate::task::{self, Task};

impl Kernel {
    /// Launches `launches` on `offers` and declines the rest for `refuse`; or says why not, and does nothing.
    pub(crate) fn accept(
        &mut self,
        framework: &FrameworkId,
        offers: &[OfferId],
        launches: Vec<Arc<TaskSpec>>,
        refuse: Duration,
        effects: &mut Effects,
    ) {
        let agent = match self.check_accept(framework, offers, &launches) {
            Ok(agent) => agent,
            Err(reason) => return self.refuse_accept(framework, &launches, &reason, effects),
        };
        for offer in offers {
            self.take_back(*offer);
        }
        self.launch(framework, &agent, launches, effects);
        self.note_refusal(framework, &agent, refuse);
    }

    /// The agent to launch on, if every rule is kept.
    fn check_accept(
        &self,
        framework: &FrameworkId,
        offers: &[OfferId],
        launches: &[Arc<TaskSpec>],
    ) -> Result<AgentId, Reason> {
        let (agent, mut left) = self.sum_of_offers(framework, offers)?;
        let known = self.agents.get(&agent).expect("the agent of an open offer is known");
        let mut fresh = BTreeSet::new();
        for spec in launches {
            self.check_launch(known, spec, &left)?;
            if !fresh.insert(&spec.task) {
                return Err(format!("task {} is launched twice in one call", spec.task).into());
            }
            left.take(&spec.resources);
        }
        Ok(agent)
    }

    fn sum_of_offers(
        &self,
        framework: &FrameworkId,
        offers: &[OfferId],
    ) -> Result<(AgentId, Resources), Reason> {
        let mut sum: Option<(AgentId, Resources)> = None;
        let mut seen = BTreeSet::new();
        for offer in offers {
            let open =
                self.offers.get(offer).filter(|open| open.framework == *framework && seen.insert(offer));
            let Some(open) = open else {
                return Err(format!("offer {offer} is no longer valid").into());
            };
            match &mut sum {
                None => sum = Some((open.agent.clone(), open.resources.clone())),
                Some((agent, _)) if *agent != open.agent => {
                    return Err("the offers are of more than one agent".into());
                }
                Some((_, resources)) => resources.give_back(&open.resources),
            }
        }
        sum.ok_or_else(|| "no offer was named".into())
    }

    fn check_launch(&self, agent: &Agent, spec: &TaskSpec, left: &Resources) -> Result<(), Reason> {
        let task = &spec.task;
        if !task::is_valid_id(task) {
            return Err(Reason::new(format!("{task:?} is not a task id"))
                .with_hint("use 1 to 120 letters, digits, '-' and '.', starting with a letter or digit"));
        }
        if self.tasks.contains_key(task) || agent.strays.contains_key(task) {
            return Err(format!("task {task} exists already").into());
        }
        if let Some(port) = spec.ports.iter().find(|port| !spec.resources.ports.contains(port.host_port)) {
            return Err(
                format!("task {task} binds host port {} without asking for it", port.host_port).into()
            );
        }
        if !left.contains(&spec.resources) {
            return Err(explain::misfit(&spec.resources, left));
        }
        Ok(())
    }

    fn refuse_accept(
        &self,
        framework: &FrameworkId,
        launches: &[Arc<TaskSpec>],
        reason: &Reason,
        effects: &mut Effects,
    ) {
        let call = "accept".to_owned();
        effects.push(Effect::to_framework(framework, Event::Refused { call, reason: reason.clone() }));
        for spec in launches.iter().filter(|spec| !self.tasks.contains_key(&spec.task)) {
            // Named one by one, so that the framework knows which of its launches never happened.
            let ended = Ended { at: self.clock.wall(), outcome: Outcome::Rejected, exit: None };
            let status = TaskStatus {
                task: spec.task.clone(),
                run: RunId::default(),
                agent: AgentId::new(""),
                sequence: 0,
                at: self.clock.wall(),
                state: TaskState::Ended(ended),
                reason: reason.clone(),
            };
            effects.push(Effect::to_framework(framework, Event::Update(status)));
            effects.push(explain::about(self.clock.wall(), spec, "refuse", reason.clone()));
        }
    }

    fn launch(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        launches: Vec<Arc<TaskSpec>>,
        effects: &mut Effects,
    ) {
        let (at, now, wait) = (self.clock.wall(), self.now(), self.config.resend_first);
        let host = self.agents.get_mut(agent).expect("the agent of an open offer is known");
        let owner = self.frameworks.get_mut(framework).expect("only subscribed frameworks are obeyed");
        // Each is saved and sent.
        effects.reserve(2 * launches.len());
        for spec in launches {
            self.newest_run = self.newest_run.next();
            let run = self.newest_run;
            host.ledger.hold(&spec.resources);
            host.tasks.insert(spec.task.clone());
            owner.allocated.add(&spec.resources);
            owner.tasks.insert((run, spec.task.clone()));
            let mut task = Task::new(TaskRecord {
                framework: framework.clone(),
                status: staging(&spec.task, run, agent, at),
                spec: Arc::clone(&spec),
                kill: None,
            });
            effects.push(task.save());
            task.await_answer(now, wait, &mut self.timers);
            self.tasks.insert(spec.task.clone(), task);
            effects.push(Effect::to_agent(agent, ToAgent::Launch { run, spec }));
        }
    }
}

/// The first status of a task: its agent has not said anything yet.
fn staging(task: &TaskId, run: RunId, agent: &AgentId, at: Timestamp) -> TaskStatus {
    TaskStatus {
        task: task.clone(),
        run,
        agent: agent.clone(),
        sequence: 0,
        at,
        state: TaskState::Staging,
        reason: Reason::default(),
    }
}
