//! Why things are as they are, in sentences: what `kogge why` prints.

use std::time::Duration;

use kogge_model::health::Health;
use kogge_model::reason::Reason;
use kogge_model::task::TaskState;
use kogge_model::time::Timestamp;

use crate::state::{Attempt, Deployment, DeploymentState, Instance, Moving, Phase, Service};

/// How things stand, the most important first, and what one can do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Explanation {
    /// A sentence each, without full stop.
    pub sentences: Vec<String>,
    /// What to do next, often commands.
    pub hints: Vec<String>,
}

impl Explanation {
    fn say(&mut self, sentence: impl Into<String>) {
        self.sentences.push(sentence.into());
    }

    fn give(&mut self, reason: &Reason) {
        self.say(reason.text.clone());
        self.hint(reason);
    }

    fn hint(&mut self, reason: &Reason) {
        if let Some(hint) = reason.hint.as_ref().filter(|hint| !self.hints.contains(hint)) {
            self.hints.push(hint.clone());
        }
    }
}

/// Why a service is as it is.
pub(crate) fn explain_service(
    service: &Service,
    now: Timestamp,
    shortfall: impl Fn(&Instance) -> Option<Reason>,
) -> Explanation {
    let mut told = Explanation::default();
    told.say(summary(service));
    if let Some(deployment) = service.deployment() {
        explain_deployment(service, deployment, now, &mut told);
    }
    for instance in service.instances.values() {
        let shortfall = shortfall(instance);
        if !instance.is_healthy() {
            told.give(&standing(instance, now, shortfall.as_ref()));
        }
        if let Some(moving) = instance.moving() {
            told.give(&why_it_moves(instance, moving, shortfall.as_ref()));
        }
    }
    told
}

/// Why an instance is as it is.
pub(crate) fn explain_instance(
    service: &Service,
    instance: &Instance,
    now: Timestamp,
    shortfall: Option<&Reason>,
) -> Explanation {
    let mut told = Explanation::default();
    told.give(&standing(instance, now, shortfall));
    if let Some(moving) = instance.moving() {
        told.give(&why_it_moves(instance, moving, shortfall));
    }
    if let Some(attempt) = instance.attempt() {
        told.say(format!("it is task {} on agent {}", attempt.task, attempt.agent));
    }
    if !service.is_wanted(instance.version) && !instance.is_leaving() {
        told.say(match instance.is_adopted {
            true => "it was found running without being on record, so it is due to be replaced",
            false => "it is of an older version and due to be replaced",
        });
    }
    if instance.restarts > 0 {
        told.say(format!("it was started again {}", times(instance.restarts)));
    }
    for exit in &instance.past {
        told.say(format!("it ended at {}: {}", exit.at, exit.reason));
        told.hint(&exit.reason);
    }
    told
}

/// What a deployment under way is at and waits for.
#[must_use]
pub fn step(service: &Service) -> String {
    let tally = service.tally();
    if tally.wish == 0 {
        return left(tally.total());
    }
    let mut parts = vec![format!("{} of {} new instances healthy", tally.updated_healthy, tally.wish)];
    match tally.outdated {
        0 => {}
        1 => parts.push("1 old one is left".to_owned()),
        n => parts.push(format!("{n} old ones are left")),
    }
    match tally.leaving {
        0 => {}
        1 => parts.push("1 is on its way out".to_owned()),
        n => parts.push(format!("{n} are on their way out")),
    }
    parts.join(", ")
}

fn summary(service: &Service) -> String {
    let (id, tally) = (service.id(), service.tally());
    let left = left(tally.total());
    let Some(version) = service.version() else { return format!("{id} was removed, {left}") };
    match (tally.healthy(), tally.wish) {
        _ if version.spec.is_stopped => format!("{id} is stopped, {left}"),
        (_, 0) => format!("{id} is scaled to 0, {left}"),
        (_, wish) if tally.is_settled() => format!("{id} is as wished: {} healthy", all_are(wish)),
        (healthy, wish) => format!("{id} has {healthy} of {wish} instances healthy"),
    }
}

/// `its instance is`, `all 3 instances are`.
pub(crate) fn all_are(n: u32) -> String {
    match n {
        1 => "its instance is".to_owned(),
        n => format!("all {n} instances are"),
    }
}

fn left(n: u32) -> String {
    match n {
        0 => "no instance is left".to_owned(),
        1 => "1 instance is left".to_owned(),
        n => format!("{n} instances are left"),
    }
}

fn explain_deployment(service: &Service, deployment: &Deployment, now: Timestamp, told: &mut Explanation) {
    let revision = deployment.revision;
    let since = seconds(now.saturating_since(deployment.started_at));
    match &deployment.state {
        DeploymentState::Running => {
            told.say(format!("revision {revision} has been on its way for {since}: {}", step(service)));
            let no_progress = service.version().map(|version| version.spec.upgrade.no_progress());
            let no_progress_at = no_progress.map(|limit| deployment.progress.at.plus(limit));
            let gives_up_at = no_progress_at.into_iter().chain([deployment.deadline_at]).min();
            let left = seconds(gives_up_at.unwrap_or(now).saturating_since(now));
            if let Some(failure) = &deployment.failures.last {
                told.say(format!("its last new instance that ended: {failure}"));
                told.hint(failure);
            }
            if let Some(good) = service.record.last_good.as_ref().filter(|good| good.digest != deployment.to)
            {
                told.say(format!("without progress in {left}, revision {} comes back", good.revision));
            }
        }
        DeploymentState::RollingBack { reason, .. } => {
            told.say(format!("revision {revision} is being taken back: {reason}"));
            told.hint(reason);
            told.say(step(service));
        }
        DeploymentState::RolledBack { at, reason } => {
            told.say(format!("revision {revision} was taken back at {at}: {reason}"));
            told.hint(reason);
        }
        DeploymentState::Failed { at, reason } => {
            told.say(format!("revision {revision} failed at {at}: {reason}"));
            told.hint(reason);
        }
        DeploymentState::Succeeded { .. } | DeploymentState::Superseded { .. } => {}
    }
}

/// Where an instance is in its life and what it waits for, in a sentence.
fn standing(instance: &Instance, now: Timestamp, shortfall: Option<&Reason>) -> Reason {
    let id = &instance.id;
    match &instance.phase {
        Phase::Waiting(waiting) if waiting.not_before > now => {
            let left = seconds(waiting.not_before.saturating_since(now));
            let last = instance.past.first().map(|exit| format!(": {}", exit.reason)).unwrap_or_default();
            let ends = if instance.crashes > 1 {
                format!(" after {} ends in a row", instance.crashes)
            } else {
                String::new()
            };
            Reason {
                text: format!("{id} starts again in {left}{ends}{last}"),
                hint: Some(format!("kogge logs {}", id.service)),
            }
        }
        Phase::Waiting(_) => match shortfall {
            Some(reason) => Reason { text: format!("{id} {reason}"), hint: reason.hint.clone() },
            None => format!("{id} waits for an offer").into(),
        },
        Phase::Live(attempt) => live(instance, attempt, now),
        Phase::Draining { until, reason, .. } => {
            let left = seconds(until.saturating_since(now));
            format!("{id} finishes its requests, for {left} at most: {reason}").into()
        }
        Phase::Killing { ordered_at, reason, .. } => {
            let since = seconds(now.saturating_since(*ordered_at));
            format!("{id} was told to end {since} ago: {reason}").into()
        }
    }
}

/// It serves on until another one is healthy elsewhere; what keeps that one from coming is told, if something does.
fn why_it_moves(instance: &Instance, moving: &Moving, shortfall: Option<&Reason>) -> Reason {
    let (id, reason) = (&instance.id, &moving.reason);
    match shortfall {
        Some(shortfall) => Reason {
            text: format!(
                "{id} has to move and stays until there is a place for it, {reason}; another one {shortfall}"
            ),
            hint: shortfall.hint.clone(),
        },
        None => Reason {
            text: format!("{id} moves as soon as another one is healthy elsewhere, {reason}"),
            hint: reason.hint.clone(),
        },
    }
}

fn live(instance: &Instance, attempt: &Attempt, now: Timestamp) -> Reason {
    let (id, agent) = (&instance.id, &attempt.agent);
    let with = |text: String| match attempt.reason.text.as_str() {
        "" => Reason { text, hint: attempt.reason.hint.clone() },
        reason => Reason { text: format!("{text}: {reason}"), hint: attempt.reason.hint.clone() },
    };
    let since = |at: Timestamp| seconds(now.saturating_since(at));
    match &attempt.state {
        TaskState::Staging => with(format!(
            "{id} was given to agent {agent} {} ago, which has not begun yet",
            since(attempt.launched_at)
        )),
        TaskState::Starting => {
            with(format!("{id} has been starting on agent {agent} for {}", since(attempt.launched_at)))
        }
        TaskState::Running(running) => {
            let runs = since(attempt.running_since.unwrap_or(attempt.launched_at));
            match &running.health {
                Health::Healthy if attempt.is_on_trial => {
                    Reason::new(format!("{id} has been running for {runs}, not long enough to count"))
                }
                Health::Healthy => Reason::new(format!("{id} has been running for {runs} and is healthy")),
                Health::Starting => {
                    with(format!("{id} has been running for {runs}, its check has not succeeded yet"))
                }
                Health::Unhealthy { failures, reason } => {
                    let text =
                        format!("{id} gets no requests, its check failed {}: {reason}", times(*failures));
                    Reason { text, hint: Some(format!("kogge logs {}", id.service)) }
                }
            }
        }
        TaskState::Stopping => with(format!("{id} is being ended by somebody else")),
        TaskState::Ended(_) => with(format!("{id} has ended")),
    }
}

fn times(n: u32) -> String {
    match n {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}

/// In the unit that people would use.
fn seconds(span: Duration) -> String {
    match span.as_millis() {
        0..1_000 => format!("{} ms", span.as_millis()),
        1_000..120_000 => format!("{} s", span.as_secs()),
        _ => format!("{} min", span.as_secs() / 60),
    }
}
