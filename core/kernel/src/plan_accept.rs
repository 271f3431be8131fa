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
        launches: Vec<TaskSpec>,
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
        for spec in launches {
            self.launch(framework, &agent, spec, effects);
        }
        self.note_refusal(framework, &agent, refuse);
    }

    /// The agent to launch on, if every rule is kept.
    fn check_accept(
        &self,
        framework: &FrameworkId,
        offers: &[OfferId],
        launches: &[TaskSpec],
    ) -> Result<AgentId, Reason> {
        let (agent, mut left) = self.sum_of_offers(framework, offers)?;
        let mut fresh = BTreeSet::new();
        for spec in launches {
            self.check_launch(&agent, spec, &left)?;
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

    fn check_launch(&self, agent: &AgentId, spec: &TaskSpec, left: &Resources) -> Result<(), Reason> {
        let task = &spec.task;
        if !task::is_valid_id(task) {
            return Err(Reason::new(format!("{task:?} is not a task id"))
                .with_hint("use 1 to 120 letters, digits, '-' and '.', starting with a letter or digit"));
        }
        let is_stray = self.agents.get(agent).is_some_and(|agent| agent.strays.contains_key(task));
        if self.tasks.contains_key(task) || is_stray {
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
        launches: &[TaskSpec],
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

    fn launch(&mut self, framework: &FrameworkId, agent: &AgentId, spec: TaskSpec, effects: &mut Effects) {
        self.newest_run = self.newest_run.next();
        let spec = Arc::new(spec);
        let status = TaskStatus {
            task: spec.task.clone(),
            run: self.newest_run,
            agent: agent.clone(),
            sequence: 0,
            at: self.clock.wall(),
            state: TaskState::Staging,
            reason: Reason::default(),
        };
        let record = TaskRecord { framework: framework.clone(), spec: spec.clone(), status, kill: None };
        self.account(framework, agent, &spec.task, &spec.resources);
        effects.push(Effect::Save(Box::new(record.clone())));
        effects.push(Effect::to_agent(agent, ToAgent::Launch { run: self.newest_run, spec: spec.clone() }));
        self.tasks.insert(spec.task.clone(), Task::new(record));
        self.await_answer(&spec.task);
    }

    fn account(&mut self, framework: &FrameworkId, agent: &AgentId, task: &TaskId, resources: &Resources) {
        let known = self.agents.get_mut(agent).expect("the agent of an open offer is known");
        known.ledger.hold(resources);
        known.tasks.insert(task.clone());
        let known = self.frameworks.get_mut(framework).expect("only subscribed frameworks are obeyed");
        known.allocated.add(resources);
        known.tasks.insert(task.clone());
    }
}
