//! The kernel said something: offers come, tasks change, a subscription stands.

use std::sync::Arc;
use std::time::Duration;

use kogge_model::attribute::Attributes;
use kogge_model::digest::Digest;
use kogge_model::health::Health;
use kogge_model::id::{RunId, TaskId};
use kogge_model::name::{InstanceId, ServiceId};
use kogge_model::reason::Reason;
use kogge_model::scheduler::{Call, Event};
use kogge_model::task::{Ended, Outcome, TaskState, TaskStatus};
use kogge_model::time::Timestamp;

use crate::chance::{parse_task_id, task_label};
use crate::config::Config;
use crate::effect::{Effect, Effects};
use crate::reporting::{announce_gone, announce_instance, decided};
use crate::services::{Interest, Services};
use crate::state::{
    AfterKill, Attempt, DeploymentState, Failures, Instance, PastExit, Phase, Service, Waiting,
};

impl Services {
    pub(crate) fn hear_event(&mut self, now: Timestamp, event: Event, effects: &mut Effects) {
        match event {
            Event::Subscribed(_) => self.resume(effects),
            Event::Offers(offers) => self.offers = offers,
            // Offers are used or declined in the call that brings them; none is ever held.
            Event::Rescind(_) => {}
            Event::Update(status) => self.hear_update(now, status, effects),
            Event::AgentLost { agent, .. } => {
                self.seen.remove(&agent);
                self.ports.forget(&agent);
            }
            Event::Refused { call, reason } => self.hear_refusal(now, &call, reason, effects),
        }
    }

    /// The subscription stands: what was said last may never have arrived, and much may have happened since.
    fn resume(&mut self, effects: &mut Effects) {
        self.interest = Interest::Wanting;
        self.is_revival_due = true;
        if !self.tasks.is_empty() {
            effects.push(Effect::Call(Call::Reconcile(self.tasks.keys().cloned().collect())));
        }
        effects.push(Effect::Call(Call::Reconcile(Vec::new())));
        for instance in self.services.values().flat_map(|service| service.instances.values()) {
            if let Phase::Killing { attempt, reason, .. } = &instance.phase {
                effects.push(kill_call(&attempt.task, reason));
            }
        }
    }

    /// The kernel does not say which task a refused call was about, so it is asked about all that may be.
    fn hear_refusal(&mut self, now: Timestamp, call: &str, reason: Reason, effects: &mut Effects) {
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
        effects.push(Effect::Explain(kogge_model::decision::Decision {
            at: now,
            service: None,
            instance: None,
            task: None,
            verb: "refused".into(),
            reason: Reason { text: format!("the kernel refused to {call}: {reason}"), hint: reason.hint },
        }));
    }

    fn hear_update(&mut self, now: Timestamp, status: TaskStatus, effects: &mut Effects) {
        if status.sequence > 0 {
            let (task, sequence) = (status.task.clone(), status.sequence);
            effects.push(Effect::Call(Call::Acknowledge { task, sequence }));
        }
        let Some(id) = self.tasks.get(&status.task).cloned() else {
            return self.hear_of_unknown(now, &status, effects);
        };
        let mut service = self.services.remove(&id.service).expect("a task's service is known");
        let instance = service.instances.get_mut(&id.number).expect("a task's instance is known");
        let attempt = instance.attempt_mut().expect("a task's instance has it");
        if is_news(attempt, &status) {
            match status.state.clone() {
                TaskState::Ended(ended) => self.end_task(now, &mut service, &id, &ended, &status, effects),
                state => {
                    observe(now, instance, state, &status, &self.config, effects);
                }
            }
            self.touched_instances.insert(id.clone());
            self.unsettled.insert(id.service.clone());
        }
        self.services.insert(id.service, service);
    }

    /// A task of ours has ended. Whoever was leaving is gone; whoever was not comes back.
    fn end_task(
        &mut self,
        now: Timestamp,
        service: &mut Service,
        id: &InstanceId,
        ended: &Ended,
        status: &TaskStatus,
        effects: &mut Effects,
    ) {
        self.tasks.remove(&status.task);
        // Room was freed, perhaps on an agent that was refused.
        self.is_revival_due = true;
        let instance = service.instances.get_mut(&id.number).expect("whoever calls has seen it");
        if instance.is_leaving() {
            announce_gone(instance, how_it_ended(ended, &status.reason).text, effects);
            service.instances.remove(&id.number);
            return;
        }
        let end = End::of(instance, ended, status);
        let attempt = instance.attempt().expect("a task's instance has it").clone();
        instance.remember(PastExit { task: attempt.task.clone(), at: now, reason: end.reason.clone() });
        instance.restarts += 1;
        let kind = end.kind;
        let policy = &self.config.backoff;
        let ran_for = attempt.running_since.map_or(Duration::ZERO, |since| now.saturating_since(since));
        let not_before = match kind {
            // At once, unless that would be a storm: it was interrupted right after its start.
            EndKind::Interrupted if ran_for >= policy.first => now,
            EndKind::Crash
            | EndKind::Rejected
            | EndKind::NeverHealthy
            | EndKind::Interrupted
            | EndKind::NeverLaunched => {
                if healthy_for(&attempt, now) >= policy.reset_after {
                    instance.crashes = 0;
                }
                instance.crashes += 1;
                now.plus(self.chance.jitter(policy.delay(instance.crashes), policy.jitter_permille))
            }
        };
        instance.enter(Phase::Waiting(Waiting::until(now, not_before)));
        instance.is_adopted = false;
        let when = match not_before.saturating_since(now).as_millis() {
            0 => "at once".to_owned(),
            wait_ms => format!("in {wait_ms} ms"),
        };
        let text = Reason {
            text: format!("{}; starts again {when} (restart {})", end.reason, instance.restarts),
            hint: end.reason.hint.clone(),
        };
        announce_instance(instance, text.text.clone(), effects);
        decided(now, instance, "restart", text, effects);
        let version = instance.version;
        self.count_failure(now, service, version, &attempt, kind, end.reason);
    }

    /// A deployment learns from each new instance that cannot live.
    fn count_failure(
        &mut self,
        now: Timestamp,
        service: &mut Service,
        version: Digest,
        attempt: &Attempt,
        kind: EndKind,
        reason: Reason,
    ) {
        let is_outside_our_hands = matches!(kind, EndKind::Interrupted | EndKind::NeverLaunched);
        if is_outside_our_hands || !service.is_wanted(version) {
            return;
        }
        let proven_after = self.config.proven_after;
        let is_proven = |attempt: &Attempt| attempt.is_healthy() && healthy_for(attempt, now) >= proven_after;
        let others = service.instances.values().filter(|other| other.version == version);
        let holds_up = is_proven(attempt) || others.filter_map(Instance::attempt).any(is_proven);
        let wanted = service.version().map(|version| version.digest);
        let Some(deployment) = service.record.deployment.as_mut().filter(|known| known.is_under_way()) else {
            return;
        };
        if matches!(deployment.state, DeploymentState::RollingBack { .. }) && wanted == Some(deployment.to) {
            // Its verdict is spoken; what comes back instead starts with a clean sheet.
            return;
        }
        let failures = &mut deployment.failures;
        if holds_up {
            *failures = Failures::default();
        } else {
            match kind {
                EndKind::Crash => failures.crashes += 1,
                EndKind::Rejected => failures.rejections += 1,
                EndKind::NeverHealthy => failures.never_healthy += 1,
                EndKind::Interrupted | EndKind::NeverLaunched => {}
            }
        }
        failures.last = Some(reason);
        self.touched_services.insert(service.id().clone());
    }

    /// A task that is not on record. It is never killed for that: it is taken in where it belongs, or told of.
    fn hear_of_unknown(&mut self, now: Timestamp, status: &TaskStatus, effects: &mut Effects) {
        if status.state.is_terminal() {
            return;
        }
        let Some((id, number)) = self.owner_of(&status.task) else {
            let text = format!("task {} on agent {} belongs to no service", status.task, status.agent);
            let reason =
                Reason::new(text).with_hint("it is left alone; end it on its agent if it is not needed");
            return effects.push(Effect::Explain(kogge_model::decision::Decision {
                at: now,
                service: None,
                instance: None,
                task: Some(status.task.clone()),
                verb: "report".into(),
                reason,
            }));
        };
        self.adopt(now, &id, number, status, effects);
    }

    /// The only service whose tasks are called like this one.
    fn owner_of(&self, task: &TaskId) -> Option<(ServiceId, u32)> {
        let (label, number) = parse_task_id(task.as_str())?;
        let mut owners = self.services.values().filter(|service| task_label(service.id()) == label);
        let owner = owners.next().filter(|service| service.version().is_some())?;
        owners.next().is_none().then(|| (owner.id().clone(), number))
    }

    fn adopt(
        &mut self,
        now: Timestamp,
        id: &ServiceId,
        number: u32,
        status: &TaskStatus,
        effects: &mut Effects,
    ) {
        let service = self.services.get_mut(id).expect("whoever calls has seen it");
        let is_free = |instance: &Instance| matches!(instance.phase, Phase::Waiting(_));
        let number = match service.instances.get(&number) {
            Some(other) if !is_free(other) => service.free_number(),
            Some(_) | None => number.max(1),
        };
        let wanted = service.version().expect("only services with a version own tasks");
        let version = service.record.last_good.as_ref().unwrap_or(wanted);
        // Nobody knows which ports it got. Where that matters it counts as outdated: it serves as capacity until one
        // that can be reached is healthy.
        let digest = match version.template.ports.is_empty() {
            true => version.digest,
            false => Digest::of(status.task.as_str().as_bytes()),
        };
        let mut instance = Instance {
            id: InstanceId { service: id.clone(), number },
            version: digest,
            template: Arc::clone(&version.template),
            restarts: 0,
            crashes: 0,
            is_adopted: true,
            past: Vec::new(),
            phase: Phase::Live(Attempt {
                task: status.task.clone(),
                agent: status.agent.clone(),
                attributes: Arc::new(Attributes::new()),
                run: None,
                launched_at: now,
                ports: Vec::new(),
                state: TaskState::Staging,
                reason: Reason::default(),
                sequence: 0,
                running_since: None,
                is_on_trial: false,
                healthy_since: None,
                was_healthy: false,
            }),
        };
        decided(now, &instance, "adopt", "its task was found running without being on record", effects);
        observe(now, &mut instance, status.state.clone(), status, &self.config, effects);
        self.tasks.insert(status.task.clone(), instance.id.clone());
        self.touched_instances.insert(instance.id.clone());
        self.unsettled.insert(id.clone());
        service.instances.insert(number, instance);
    }

    /// The router is done with a task.
    pub(crate) fn hear_drained(&mut self, now: Timestamp, task: &TaskId) {
        let Some(id) = self.tasks.get(task) else { return };
        let service = self.services.get_mut(&id.service).expect("a task's service is known");
        let instance = service.instances.get_mut(&id.number).expect("a task's instance is known");
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
fn observe(
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
    let healthy_before = healthy_for(attempt, now);
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

fn healthy_for(attempt: &Attempt, now: Timestamp) -> Duration {
    attempt.healthy_since.map_or(Duration::ZERO, |since| now.saturating_since(since))
}

/// How an instance's task came to its end.
struct End {
    kind: EndKind,
    reason: Reason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EndKind {
    /// By itself, or it had to be killed for being unhealthy.
    Crash,
    /// Its agent cannot run it.
    Rejected,
    /// It had to be killed without having been healthy once.
    NeverHealthy,
    /// Its agent, its supervisor or somebody else ended it.
    Interrupted,
    /// The kernel refused to launch it; nothing ever ran.
    NeverLaunched,
}

impl End {
    fn of(instance: &Instance, ended: &Ended, status: &TaskStatus) -> Self {
        if let Phase::Killing { after: AfterKill::Restart, reason, .. } = &instance.phase {
            let was_healthy = instance.attempt().is_some_and(|attempt| attempt.was_healthy);
            let kind = if was_healthy { EndKind::Crash } else { EndKind::NeverHealthy };
            return Self { kind, reason: reason.clone() };
        }
        let was_launched = status.run != RunId::default();
        let kind = match ended.outcome {
            Outcome::Finished | Outcome::Failed => EndKind::Crash,
            Outcome::Rejected if was_launched => EndKind::Rejected,
            Outcome::Rejected => EndKind::NeverLaunched,
            Outcome::Killed | Outcome::Lost => EndKind::Interrupted,
        };
        Self { kind, reason: how_it_ended(ended, &status.reason) }
    }
}

fn how_it_ended(ended: &Ended, reason: &Reason) -> Reason {
    let word = TaskState::Ended(ended.clone()).word();
    let text = match (&ended.exit, reason.text.as_str()) {
        (Some(exit), "") => exit.to_string(),
        (None, "") => word.to_owned(),
        (Some(exit), text) if text.contains(&exit.to_string()) => text.to_owned(),
        (Some(exit), text) => format!("{exit}: {text}"),
        (None, text) => format!("{word}: {text}"),
    };
    Reason { text, hint: reason.hint.clone() }
}
