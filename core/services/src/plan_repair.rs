//! Whether one instance can stay as it is: a verdict, and when to look again.

use std::time::Duration;

use kogge_model::health::{Health, HealthCheck};
use kogge_model::reason::Reason;
use kogge_model::task::TaskState;
use kogge_model::time::Timestamp;

use crate::config::Config;
use crate::state::{Attempt, Instance, Phase};

/// Agents judge the grace themselves; only if none has spoken by then do we.
const GRACE_MARGIN: Duration = Duration::from_secs(10);

/// What to do with an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Repair {
    /// Nothing, and nothing will be to do by itself.
    Leave,
    /// Nothing before then.
    LookAgain(Timestamp),
    /// Its back-off is over: it wants an offer.
    AskForOffer,
    /// It asked for an offer and none came: it has no place.
    MissOffer,
    /// It has lasted without a check: from now on it counts as healthy.
    EndTrial,
    /// Kill it and start it again; it counts as a crash.
    Replace(Reason),
    /// Its time to finish requests is over: kill it.
    EndDrain,
    /// The order to kill it may have got lost: say it again.
    RepeatKill,
}

/// Until `behind_until`, offers that were asked for had no chance to come.
pub(crate) fn plan_repair(
    instance: &Instance,
    config: &Config,
    behind_until: Timestamp,
    now: Timestamp,
) -> Repair {
    match &instance.phase {
        Phase::Waiting(waiting) if waiting.shortfall.is_some() => Repair::Leave,
        Phase::Waiting(waiting) if waiting.is_ready => {
            let asked_at = waiting.since.max(waiting.not_before).max(behind_until);
            due(now, asked_at.plus(config.offer_patience), Repair::MissOffer)
        }
        Phase::Waiting(waiting) => due(now, waiting.not_before, Repair::AskForOffer),
        Phase::Draining { until, .. } => due(now, *until, Repair::EndDrain),
        Phase::Killing { ordered_at, .. } => {
            due(now, ordered_at.plus(config.kill_repeat), Repair::RepeatKill)
        }
        Phase::Live(attempt) => judge_attempt(attempt, instance.template.health.as_ref(), config, now),
    }
}

fn judge_attempt(attempt: &Attempt, check: Option<&HealthCheck>, config: &Config, now: Timestamp) -> Repair {
    match &attempt.state {
        TaskState::Staging | TaskState::Starting => {
            let limit = config.start_limit;
            let reason = Reason::new(format!("not running {} s after its launch", limit.as_secs()));
            due(now, attempt.launched_at.plus(limit), Repair::Replace(reason))
        }
        TaskState::Running(_) if attempt.is_on_trial => {
            due(now, attempt.running_since.unwrap_or(now).plus(config.trial), Repair::EndTrial)
        }
        TaskState::Running(running) => match (&running.health, check) {
            (Health::Unhealthy { failures, reason }, Some(check))
                if *failures >= check.failures_to_replace =>
            {
                let reason = format!("unhealthy, {failures} checks failed in a row: {reason}");
                Repair::Replace(Reason::new(reason))
            }
            (Health::Starting, Some(check)) => {
                let since = attempt.running_since.unwrap_or(attempt.launched_at);
                let grace = check.grace().as_secs();
                let reason = Reason::new(format!("never healthy within its grace of {grace} s"));
                due(now, since.plus(check.grace() + GRACE_MARGIN), Repair::Replace(reason))
            }
            (Health::Starting | Health::Healthy | Health::Unhealthy { .. }, _) => Repair::Leave,
        },
        TaskState::Stopping | TaskState::Ended(_) => Repair::Leave,
    }
}

fn due(now: Timestamp, at: Timestamp, then: Repair) -> Repair {
    if at <= now { then } else { Repair::LookAgain(at) }
}
