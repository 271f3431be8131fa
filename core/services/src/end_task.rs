//! A task of ours has ended: its instance is gone, or comes back, at once or after its back-off.

use std::time::Duration;

use kogge_model::digest::Digest;
use kogge_model::id::RunId;
use kogge_model::name::InstanceId;
use kogge_model::reason::Reason;
use kogge_model::task::{Ended, Outcome, TaskState, TaskStatus};
use kogge_model::time::Timestamp;

use crate::effect::Effects;
use crate::reporting::{announce_gone, announce_instance, decided};
use crate::services::Services;
use crate::state::{
    AfterKill, Attempt, DeploymentState, Failures, Instance, PastExit, Phase, Service, Waiting,
};

impl Services {
    /// Whoever was leaving is gone; whoever was not comes back.
    pub(crate) fn end_task(
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
        self.want_balance(now);
        let instance = service.instance_mut(id.number).expect("whoever calls has seen it");
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
                if attempt.healthy_for(now) >= policy.reset_after {
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
        let is_proven = |attempt: &Attempt| attempt.is_healthy() && attempt.healthy_for(now) >= proven_after;
        let others = service.instances.values().filter(|other| other.version == version);
        let holds_up = is_proven(attempt) || others.filter_map(|other| other.attempt()).any(is_proven);
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
