//! An agent presents itself: what it has is compared with what the records say.
//!
//! Words can arrive late, so nothing is concluded from what *one* registration leaves out: a task that ran and is not
//! mentioned is asked for until either it is mentioned or all late words must have arrived.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kogge_model::agent::AgentInfo;
use kogge_model::id::{AgentId, ClusterId, TaskId, Term};
use kogge_model::link::{FromAgent, ToAgent, ToControl};
use kogge_model::reason::Reason;
use kogge_model::resources::Resources;
use kogge_model::task::TaskStatus;

use crate::agent::{Agent, Phase, Stray};
use crate::effect::{Effect, Effects};
use crate::explain;
use crate::plan_order::order_of;
use crate::plan_status::acknowledgement;
use crate::record::AgentRecord;
use crate::rules::Rules;
use crate::state::Kernel;
use crate::timer::Timer;

/// Between two questions which tasks an agent has.
const DOUBT_INTERVAL: Duration = Duration::from_secs(1);

impl Kernel {
    /// An agent said something.
    pub(crate) fn hear(&mut self, message: FromAgent, effects: &mut Effects) {
        let FromAgent { agent, body } = message;
        match body {
            ToControl::Register { info, cluster, term, tasks, held } => {
                if info.agent == agent && self.check_origin(&info, cluster.as_ref(), term, effects) {
                    self.register(info, tasks, &held, effects);
                }
            }
            ToControl::Status(status) => {
                if self.note_life(&agent, effects) && status.agent == agent {
                    self.take_status(status, effects);
                }
            }
            ToControl::AskLease { task, run, ticket } => {
                if self.note_life(&agent, effects) {
                    self.grant_lease(&agent, (task, run), ticket, effects);
                }
            }
            ToControl::Heartbeat => {
                self.note_life(&agent, effects);
            }
        }
    }

    /// Any word is a sign of life. Tells whether the agent is registered; if not, it is asked to.
    fn note_life(&mut self, id: &AgentId, effects: &mut Effects) -> bool {
        let now = self.now();
        let phase = self.agents.get_mut(id).map(|agent| {
            if agent.phase != Phase::Lost {
                agent.last_seen = now;
            }
            if agent.phase == Phase::Suspect {
                agent.phase = Phase::Ready;
                agent.is_waited_for = false;
                self.to_offer.insert(id.clone());
            }
            agent.phase
        });
        let is_registered = phase.is_some_and(Phase::is_registered);
        if !is_registered {
            effects.push(Effect::to_agent(id, ToAgent::Unknown));
        }
        is_registered
    }

    /// Whether the agent belongs to this cluster and has not obeyed a newer leader (G4).
    fn check_origin(
        &self,
        info: &AgentInfo,
        cluster: Option<&ClusterId>,
        term: Term,
        effects: &mut Effects,
    ) -> bool {
        if let Some(other) = cluster.filter(|cluster| **cluster != self.config.cluster) {
            let text =
                format!("agent {} belongs to cluster {other}, not to {}", info.name, self.config.cluster);
            let reason = Reason::new(text).with_hint(
                "if this server lost its state, restore it; if the agent shall change clusters, empty its data directory",
            );
            effects.push(explain::about_agent(self.clock.wall(), "refuse", reason));
            return false;
        }
        if term > self.config.term {
            let text = format!(
                "agent {} has obeyed term {term}, this server leads only term {}: its state is old or it was replaced",
                info.name, self.config.term
            );
            effects.push(Effect::StepDown(Reason::new(text)));
            return false;
        }
        true
    }

    fn register(
        &mut self,
        info: AgentInfo,
        tasks: Vec<TaskStatus>,
        held: &BTreeMap<TaskId, Resources>,
        effects: &mut Effects,
    ) {
        let id = info.agent.clone();
        self.admit(info, effects);
        let mentioned: BTreeSet<TaskId> = tasks.iter().map(|status| status.task.clone()).collect();
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for status in tasks.into_iter().filter(|status| status.agent == id) {
            match self.tasks.get_mut(&status.task).filter(|task| task.record.status.run >= status.run) {
                // What its agent has no answer to yet it says again, now that it is registered, and hears it then.
                Some(task) if task.is_known_already(&status) => task.missing_since = None,
                Some(_) => known.push(status),
                None => unknown.push(status),
            }
        }
        self.take_strays(&id, unknown, held, effects);
        for status in known {
            self.take_status(status, effects);
        }
        for task in self.agents[&id].tasks.clone() {
            self.compare(&id, &task, mentioned.contains(&task), effects);
        }
        effects.push(Effect::to_agent(&id, ToAgent::Registered));
        self.to_offer.insert(id);
    }

    /// Takes the agent in, or back, with what it has now.
    fn admit(&mut self, info: AgentInfo, effects: &mut Effects) {
        let (now, id) = (self.now(), info.agent.clone());
        let is_new = !self.agents.contains_key(&id);
        if is_new {
            let record = AgentRecord { info: info.clone(), rules: Rules::default() };
            self.agents.insert(id.clone(), Agent::new(record, Phase::Lost, now));
        }
        if is_new {
            self.reclaim_copies(&id);
        }
        let old = &self.agents[&id];
        let has_changed = old.info != info;
        let is_news = has_changed || !old.phase.is_registered();
        if is_new || has_changed {
            let record = AgentRecord { info: info.clone(), rules: old.rules.clone() };
            effects.push(Effect::SaveAgent(Box::new(record)));
        }
        if has_changed {
            self.rescind_agent(&id, effects);
        }
        let agent = self.agents.get_mut(&id).expect("it was inserted above");
        if !is_new && !agent.phase.is_registered() {
            agent.returned_at = Some(now);
        }
        if agent.phase != Phase::Lost {
            self.whole.sub(agent.ledger.total());
        }
        if has_changed {
            agent.become_of(info, agent.rules.clone());
        }
        self.whole.add(agent.ledger.total());
        agent.phase = Phase::Ready;
        agent.last_seen = now;
        agent.is_waited_for = false;
        self.timers.arm(agent.silence_deadline(&self.config), Timer::Silence(id.clone()));
        if is_news {
            self.tell_ready(&id, effects);
        }
    }

    /// One task that the records place on an agent, now that the agent has told what it has.
    fn compare(&mut self, agent: &AgentId, id: &TaskId, is_mentioned: bool, effects: &mut Effects) {
        let now = self.now();
        let Some(task) = self.tasks.get_mut(id) else { return };
        let is_missing = !is_mentioned && task.record.is_live() && task.record.is_confirmed();
        if !is_missing {
            if task.order.is_none() && order_of(&task.record).is_some() {
                self.send_order(id, effects);
            }
            return;
        }
        let since = *task.missing_since.get_or_insert(now);
        let is_certain = now.saturating_since(since) >= self.config.missing_after;
        if is_certain && self.leased_until(id).is_none() {
            self.give_up(id, "its agent does not have it any more".into(), effects);
            self.send_order(id, effects);
        } else {
            self.doubt(agent);
        }
    }

    /// The agent is asked again, for as long as words from before may still arrive.
    fn doubt(&mut self, id: &AgentId) {
        let now = self.now();
        let Some(agent) = self.agents.get_mut(id) else { return };
        if agent.doubt_until <= now {
            agent.doubt_until = now.plus(self.config.missing_after + DOUBT_INTERVAL);
            self.timers.arm(now.plus(DOUBT_INTERVAL), Timer::Doubt(id.clone()));
        }
    }

    pub(crate) fn ask_again(&mut self, id: &AgentId, effects: &mut Effects) {
        let now = self.now();
        let Some(agent) = self.agents.get(id).filter(|agent| agent.phase.is_registered()) else { return };
        let is_missing = |task: &TaskId| self.tasks[task].missing_since.is_some();
        if now < agent.doubt_until || agent.tasks.iter().any(is_missing) {
            effects.push(Effect::to_agent(id, ToAgent::Unknown));
            self.timers.arm(now.plus(DOUBT_INTERVAL), Timer::Doubt(id.clone()));
        }
    }

    /// Replaces what was known of the agent's tasks without a record.
    fn take_strays(
        &mut self,
        id: &AgentId,
        unknown: Vec<TaskStatus>,
        held: &BTreeMap<TaskId, Resources>,
        effects: &mut Effects,
    ) {
        let mut strays = BTreeMap::new();
        for status in unknown {
            if status.state.is_terminal() {
                effects.push(acknowledgement(&status));
            } else {
                let resources = held.get(&status.task).cloned().unwrap_or_default();
                strays.insert(status.task.clone(), Stray { status, resources });
            }
        }
        let holds = |strays: &BTreeMap<TaskId, Stray>| -> Vec<_> {
            strays.values().map(|stray| (stray.status.task.clone(), stray.resources.clone())).collect()
        };
        if holds(&self.agents[id].strays) != holds(&strays) {
            self.rescind_agent(id, effects);
        }
        let agent = self.agents.get_mut(id).expect("it was admitted");
        let old = std::mem::take(&mut agent.strays);
        for stray in old.values() {
            agent.ledger.release(&stray.resources);
        }
        let mut is_any_new = false;
        for (task, stray) in &strays {
            agent.ledger.hold(&stray.resources);
            if !old.contains_key(task) {
                is_any_new = true;
                effects.push(explain::about_stray(self.clock.wall(), &agent.info.name, task));
            }
        }
        agent.strays = strays;
        if is_any_new {
            self.doubt(id);
        }
    }

    /// An agent told of a task without a record. There is nobody to ask, so its word is taken at once.
    pub(crate) fn take_stray_status(&mut self, status: TaskStatus, effects: &mut Effects) {
        let is_over = status.state.is_terminal();
        let Some(agent) = self.agents.get_mut(&status.agent) else { return };
        let answer = acknowledgement(&status);
        match agent.stray(&status.task, status.run) {
            Some(stray) if !is_over => stray.status = status,
            Some(_) => {
                let stray = agent.strays.remove(&status.task).expect("it was just seen");
                agent.ledger.release(&stray.resources);
                self.to_offer.insert(status.agent);
            }
            None if is_over => {}
            // It runs something that was not in its registration: only a new one tells what that holds.
            None => return effects.push(Effect::to_agent(&status.agent, ToAgent::Unknown)),
        }
        effects.push(answer);
    }
}
