//! The kernel said something: offers come, tasks change, a subscription stands.

use kogge_model::health::Health;
use kogge_model::id::{RunId, TaskId};
use kogge_model::reason::Reason;
use kogge_model::scheduler::{Call, Event, KnownUpdate};
use kogge_model::task::{TaskState, TaskStatus};
use kogge_model::time::Timestamp;

use crate::config::Config;
use crate::effect::{Effect, Effects};
use crate::reporting::announce_instance;
use crate::services::{Interest, Services};
use crate::state::{Attempt, Instance, Phase};

impl Services {
    pub(crate) fn hear_event(&mut self, now: Timestamp, event: Event, effects: &mut Effects) {
        match event {
            Event::Subscribed(_) => self.resume(now, effects),
            Event::Offers(offers) => self.offers = offers,
            // Offers are used or declined in the call that brings them; none is ever held.
            Event::Rescind(_) => {}
            Event::Update(status) => self.hear_update(now, status, effects),
            Event::AgentLost { agent, .. } => {
                self.seen.remove(&agent);
                self.ports.forget(&agent);
            }
            Event::InverseOffers(offers) => self.hear_inverse_offers(now, offers),
            Event::AgentReady { agent, attributes } => self.hear_ready(now, agent, attributes),
            Event::Refused { call, reason } => {
                self.is_unsure = true;
                effects.push(refused(now, &call, reason));
            }
        }
    }

    /// The subscription stands: what was said last may never have arrived. What has happened since is told now.
    fn resume(&mut self, now: Timestamp, effects: &mut Effects) {
        self.interest = Interest::Wanting;
        self.is_revival_due = true;
        self.want_balance(now);
        for instance in self.services.values().flat_map(|service| service.instances.values()) {
            if let Phase::Killing { attempt, reason, .. } = &instance.phase {
                effects.push(kill_call(&attempt.task, reason));
            }
        }
    }

    /// What is known of each task, so that only what is news has to be told: of a hundred thousand it is next to nothing.
    pub(crate) fn known_updates(&self) -> Vec<KnownUpdate> {
        let known = self.tasks.iter().map(|(task, id)| {
            let attempt =
                self.services.get(&id.service).and_then(|service| service.instance(id.number)?.attempt());
            let (run, sequence) = attempt.map_or((None, 0), |attempt| (attempt.run, attempt.sequence));
            KnownUpdate { task: task.clone(), run, sequence }
        });
        known.collect()
    }

    /// The kernel does not say which task a refused call was about, so it is asked about all that may be: once for all
    /// refusals of an input, for there may be thousands.
    pub(crate) fn ask_after_refusals(&mut self, effects: &mut Effects) {
        if !std::mem::take(&mut self.is_unsure) {
            return;
        }
        let instances = self.services.values().flat_map(|service| service.instances.values());
        let unsure = instances.filter_map(|instance| match &instance.phase {
            Phase::Live(attempt) if attempt.run.is_none() => Some(attempt.task.clone()),
            Phase::Killing { attempt, .. } => Some(attempt.task.clone()),
            Phase::Live(_) | Phase::Waiting(_) | Phase::Draining { .. } => None,
        });
        let unsure: Vec<TaskId> = unsure.collect();
        if !unsure.is_empty() {
            effects.push(Effect::Call(Call::Reconcile(unsure)));
        }
    }

    pub(crate) fn hear_update(&mut self, now: Timestamp, status: TaskStatus, effects: &mut Effects) {
        if status.sequence > 0 {
            let (task, sequence) = (status.task.clone(), status.sequence);
            effects.push(Effect::Call(Call::Acknowledge { task, sequence }));
        }
        let Some(id) = self.tasks.get(&status.task).cloned() else {
            return self.hear_of_unknown(now, &status, effects);
        };
        let mut service = self.services.remove(&id.service).expect("a task's service is known");
        let instance = service.instance_mut(id.number).expect("a task's instance is known");
        let attempt = instance.attempt_mut().expect("a task's instance has it");
        if is_news(attempt, &status) {
            match status.state.clone() {
                TaskState::Ended(ended) => self.end_task(now, &mut service, &id, &ended, &status, effects),
                state => {
                    observe(now, instance, state, &status, &self.config, effects);
                }
            }
            self.touched_instances.insert(&id);
            self.unsettled.insert(id.service.clone());
        }
        self.services.insert(id.service, service);
    }

    /// The router is done with a task.
    pub(crate) fn hear_drained(&mut self, now: Timestamp, task: &TaskId) {
        let Some(id) = self.tasks.get(task) else { return };
        let service = self.services.get_mut(&id.service).expect("a task's service is known");
        let instance = service.instance_mut(id.number).expect("a task's instance is known");
        if let Phase::Draining { until, .. } = &mut instance.phase {
            *until = now;
            self.unsettled.insert(id.service.clone());
        }
    }

    /// Orders a task to end, as soon as there is somebody to tell.
    pub(crate) fn kill(&self, task: &TaskId, reason: &Reason, effects: &mut Effects) {
        if self.is_subscribed() {
            effects.push(kill_call(task, reason));
        }
    }
}

fn refused(now: Timestamp, call: &str, reason: Reason) -> Effect {
    Effect::Explain(kogge_model::decision::Decision {
        at: now,
        service: None,
        instance: None,
        task: None,
        verb: "refused".into(),
        reason: Reason { text: format!("the kernel refused to {call}: {reason}"), hint: reason.hint },
    })
}

fn kill_call(task: &TaskId, reason: &Reason) -> Effect {
    Effect::Call(Call::Kill { task: task.clone(), grace: None, reason: reason.clone() })
}

/// Whether a status tells something new of this very launch.
fn is_news(attempt: &Attempt, status: &TaskStatus) -> bool {
    let is_echo = attempt.run.is_some_and(|run| status.run < run && status.run != RunId::default());
    let is_repeat = status.sequence > 0 && status.sequence <= attempt.sequence;
    !is_echo && !is_repeat && attempt.state.may_become(&status.state)
}

/// Takes in the state of a task that has not ended.
pub(crate) fn observe(
    now: Timestamp,
    instance: &mut Instance,
    state: TaskState,
    status: &TaskStatus,
    config: &Config,
    effects: &mut Effects,
) {
    let is_checked = instance.template.health.is_some();
    let before = instance.phase.word();
    let attempt = instance.attempt_mut().expect("whoever calls has seen its task");
    let healthy_before = attempt.healthy_for(now);
    attempt.run = (status.run != RunId::default()).then_some(status.run).or(attempt.run);
    attempt.sequence = attempt.sequence.max(status.sequence);
    attempt.reason = status.reason.clone();
    if let TaskState::Running(running) = &state {
        if attempt.running_since.is_none() {
            attempt.running_since = Some(now);
            attempt.is_on_trial = !is_checked && !config.trial.is_zero();
        }
        let is_healthy = running.health == Health::Healthy;
        attempt.healthy_since = is_healthy.then(|| attempt.healthy_since.unwrap_or(now));
        attempt.was_healthy |= is_healthy;
    }
    attempt.state = state;
    if healthy_before >= config.backoff.reset_after {
        instance.crashes = 0;
    }
    if instance.phase.word() != before {
        let on = instance.attempt().map(|attempt| attempt.agent.to_string()).unwrap_or_default();
        let text = match status.reason.text.as_str() {
            "" => format!("on agent {on}"),
            reason => format!("on agent {on}: {reason}"),
        };
        announce_instance(instance, text, effects);
    }
}
