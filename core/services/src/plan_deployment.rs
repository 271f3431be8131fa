//! Whether a deployment goes on, is done, or gives up.
//!
//! It gives up at the first of
//! - 5 ends of new instances in a row, where in a row means that none of them has stayed healthy for 10 s,
//! - 2 new instances in a row that agents refused, for example because the image cannot be pulled,
//! - 2 new instances in a row that were not healthy once within their grace,
//! - no progress for the policy's `no_progress` (5 min): neither more new ones healthy nor fewer old ones than ever,
//! - the policy's `deadline` (10 min).

use kogge_model::reason::Reason;
use kogge_model::service::UpgradePolicy;
use kogge_model::time::Timestamp;

use crate::config::Config;
use crate::state::{Deployment, Progress, Tally};

/// What becomes of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on, until then at least.
    GoOn {
        /// Look again.
        until: Timestamp,
        /// Better than ever before, if it is.
        progress: Option<Progress>,
    },
    /// Everything is as wished.
    Done,
    /// It will not be.
    GiveUp(Reason),
}

pub(crate) fn plan_deployment(
    deployment: &Deployment,
    tally: Tally,
    policy: &UpgradePolicy,
    config: &Config,
    now: Timestamp,
) -> Verdict {
    if tally.is_settled() && (tally.wish > 0 || tally.leaving == 0) {
        return Verdict::Done;
    }
    if let Some(reason) = futile(deployment, config) {
        return Verdict::GiveUp(reason);
    }
    let progress = better(deployment.progress, tally, now);
    let last_at = progress.unwrap_or(deployment.progress).at;
    let no_progress_at = last_at.plus(policy.no_progress());
    if deployment.deadline_at <= now {
        let allowed = deployment.deadline_at.saturating_since(deployment.started_at).as_secs();
        return Verdict::GiveUp(with_failure(format!("not done after {allowed} s"), deployment));
    }
    if no_progress_at <= now {
        let seconds = policy.no_progress().as_secs();
        return Verdict::GiveUp(with_failure(format!("no progress for {seconds} s"), deployment));
    }
    Verdict::GoOn { until: no_progress_at.min(deployment.deadline_at), progress }
}

fn futile(deployment: &Deployment, config: &Config) -> Option<Reason> {
    let failures = &deployment.failures;
    let text = if failures.rejections >= config.rejections_to_give_up {
        "agents cannot run it".to_owned()
    } else if failures.never_healthy >= config.never_healthy_to_give_up {
        format!("{} new instances were not healthy once", failures.never_healthy)
    } else if failures.crashes >= config.crashes_to_give_up {
        format!("new instances ended {} times in a row", failures.crashes)
    } else {
        return None;
    };
    Some(with_failure(text, deployment))
}

fn with_failure(text: String, deployment: &Deployment) -> Reason {
    match &deployment.failures.last {
        Some(last) => Reason { text: format!("{text}; the last one: {last}"), hint: last.hint.clone() },
        None => Reason::new(text),
    }
}

fn better(best: Progress, tally: Tally, now: Timestamp) -> Option<Progress> {
    let outdated = tally.outdated + tally.leaving;
    let is_better = tally.updated_healthy > best.most_healthy || outdated < best.fewest_outdated;
    is_better.then(|| Progress {
        most_healthy: best.most_healthy.max(tally.updated_healthy),
        fewest_outdated: best.fewest_outdated.min(outdated),
        at: now,
    })
}

#[cfg(test)]
mod tests {
    use kogge_model::digest::Digest;
    use kogge_model::id::{DeploymentId, RevisionId};

    use super::*;
    use crate::state::{DeploymentState, Failures};

    fn deployment() -> Deployment {
        Deployment {
            id: DeploymentId::new("prod.shop.web.7"),
            revision: RevisionId(7),
            from: None,
            to: Digest::of(b"new"),
            started_at: Timestamp::from_secs(100),
            deadline_at: Timestamp::from_secs(700),
            progress: Progress { most_healthy: 1, fewest_outdated: 3, at: Timestamp::from_secs(110) },
            failures: Failures::default(),
            state: DeploymentState::Running,
        }
    }

    const HALF_WAY: Tally = Tally {
        wish: 3,
        updated: 3,
        moving: 0,
        updated_healthy: 1,
        outdated: 3,
        outdated_healthy: 3,
        leaving: 0,
    };

    fn check(deployment: &Deployment, tally: Tally, at: u64, expected: &str) {
        let policy = UpgradePolicy::default();
        let now = Timestamp::from_secs(at);
        let told = match plan_deployment(deployment, tally, &policy, &Config::default(), now) {
            Verdict::Done => "done".to_owned(),
            Verdict::GiveUp(reason) => reason.text,
            Verdict::GoOn { until, progress } => {
                let word = if progress.is_some() { "better" } else { "same" };
                format!("{word} until {}", until.as_micros() / 1_000_000)
            }
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn it_goes_on_until_its_limits() {
        check(&deployment(), HALF_WAY, 120, "same until 410");
        check(&deployment(), Tally { updated_healthy: 2, ..HALF_WAY }, 120, "better until 420");
        check(&deployment(), Tally { outdated: 2, ..HALF_WAY }, 120, "better until 420");
        check(&deployment(), HALF_WAY, 410, "no progress for 300 s");
        let mut late = deployment();
        late.progress.at = Timestamp::from_secs(690);
        check(&late, HALF_WAY, 700, "not done after 600 s");
    }

    #[test]
    fn it_fails_fast_when_new_instances_cannot_live() {
        let mut broken = deployment();
        broken.failures = Failures { crashes: 5, last: Some("exit code 1".into()), ..Failures::default() };
        check(&broken, HALF_WAY, 120, "new instances ended 5 times in a row; the last one: exit code 1");
        let mut refused = deployment();
        let last = Some("image shop:2 cannot be pulled".into());
        refused.failures = Failures { rejections: 2, last, ..Failures::default() };
        check(&refused, HALF_WAY, 120, "agents cannot run it; the last one: image shop:2 cannot be pulled");
        let mut hung = deployment();
        hung.failures.never_healthy = 2;
        check(&hung, HALF_WAY, 120, "2 new instances were not healthy once");
    }

    #[test]
    fn done_is_done_even_after_the_deadline_and_stopping_waits_for_the_last_one() {
        let done = Tally { updated_healthy: 3, outdated: 0, outdated_healthy: 0, ..HALF_WAY };
        check(&deployment(), done, 10_000, "done");
        let stopping = Tally { leaving: 1, ..Tally::default() };
        check(&deployment(), stopping, 120, "better until 420");
        check(&deployment(), Tally::default(), 120, "done");
    }
}
