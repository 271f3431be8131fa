//! How the deployment under way is doing, and what follows: it moves on, is done, goes back, or fails.

use std::sync::Arc;
use std::time::Duration;

use kogge_model::reason::Reason;
use kogge_model::time::Timestamp;

use crate::effect::{Effect, Effects};
use crate::explain::{all_are, step};
use crate::plan_deployment::{Verdict, plan_deployment};
use crate::reporting::{announce_deployment, decided_of_service};
use crate::services::Services;
use crate::state::{Deployment, DeploymentState, Failures, Progress, Service, Version};

/// The tree is asked again to go back after this long.
const ASK_AGAIN: Duration = Duration::from_secs(10);

impl Services {
    /// Sees how the deployment under way is doing; tells when to look again.
    pub(crate) fn steer_deployment(
        &mut self,
        now: Timestamp,
        service: &mut Service,
        effects: &mut Effects,
    ) -> Option<Timestamp> {
        let tally = service.tally();
        let version = service.version()?.clone();
        let Some(deployment) = service.deployment().filter(|known| known.is_under_way()).cloned() else {
            if tally.is_settled() && tally.wish > 0 {
                self.note_good(service, version);
            }
            return None;
        };
        if let DeploymentState::RollingBack { asked_at, reason } = &deployment.state
            && version.digest == deployment.to
        {
            return self.ask_to_go_back(now, service, *asked_at, &reason.clone(), effects);
        }
        match plan_deployment(&deployment, tally, &version.spec.upgrade, &self.config, now) {
            Verdict::GoOn { until, progress } => {
                if let Some(progress) = progress {
                    self.note_progress(service, progress, effects);
                }
                Some(until)
            }
            Verdict::Done => {
                let state = match deployment.state {
                    DeploymentState::RollingBack { reason, .. } => {
                        DeploymentState::RolledBack { at: now, reason }
                    }
                    _ => DeploymentState::Succeeded { at: now },
                };
                let text = match tally.wish {
                    0 => "no instance is left".to_owned(),
                    wish => format!("{} healthy", all_are(wish)),
                };
                if tally.wish > 0 {
                    self.note_good(service, version);
                }
                self.end_deployment(service, state, text, effects);
                None
            }
            Verdict::GiveUp(reason) => self.give_up(now, service, &deployment, reason, effects),
        }
    }

    fn note_good(&mut self, service: &mut Service, version: Version) {
        if service.record.last_good.as_ref() != Some(&version) {
            service.record.last_good = Some(version);
            self.touched_services.insert(service.id().clone());
        }
    }

    fn note_progress(&mut self, service: &mut Service, progress: Progress, effects: &mut Effects) {
        let text = step(service);
        let id = service.id().clone();
        let deployment = service.record.deployment.as_mut().expect("whoever calls has seen it");
        let is_first = deployment.progress.fewest_outdated == u32::MAX && progress.most_healthy == 0;
        deployment.progress = progress;
        if !is_first {
            announce_deployment(&id, deployment, text, effects);
        }
        self.touched_services.insert(id);
    }

    fn end_deployment(
        &mut self,
        service: &mut Service,
        state: DeploymentState,
        text: String,
        effects: &mut Effects,
    ) {
        let id = service.id().clone();
        let deployment = service.record.deployment.as_mut().expect("whoever calls has seen it");
        deployment.enter(state);
        announce_deployment(&id, deployment, text, effects);
        self.touched_services.insert(id);
    }

    /// Goes back to the last good version, once; where there is none, keeps trying and says why.
    fn give_up(
        &mut self,
        now: Timestamp,
        service: &mut Service,
        deployment: &Deployment,
        reason: Reason,
        effects: &mut Effects,
    ) -> Option<Timestamp> {
        let good = service.record.last_good.as_ref().filter(|good| good.digest != deployment.to);
        let is_first_try = deployment.state == DeploymentState::Running;
        if good.is_none() || !is_first_try {
            let text = match is_first_try {
                true => reason.text.clone(),
                false => format!("going back did not work either: {reason}"),
            };
            let reason = Reason { text: text.clone(), hint: reason.hint };
            decided_of_service(now, service.id(), "give-up", reason.clone(), effects);
            self.end_deployment(service, DeploymentState::Failed { at: now, reason }, text, effects);
            return None;
        }
        let allowed = service.version().map_or(ASK_AGAIN, |version| version.spec.upgrade.deadline());
        let known = service.record.deployment.as_mut().expect("whoever calls has seen it");
        known.deadline_at = now.plus(allowed);
        known.progress = Progress { most_healthy: 0, fewest_outdated: u32::MAX, at: now };
        known.failures = Failures::default();
        let state = DeploymentState::RollingBack { asked_at: now, reason: reason.clone() };
        self.end_deployment(service, state, reason.text.clone(), effects);
        decided_of_service(now, service.id(), "roll-back", reason.clone(), effects);
        effects.push(way_back(service, reason)?);
        Some(now.plus(ASK_AGAIN))
    }

    /// The tree has not answered yet.
    fn ask_to_go_back(
        &mut self,
        now: Timestamp,
        service: &mut Service,
        asked_at: Timestamp,
        reason: &Reason,
        effects: &mut Effects,
    ) -> Option<Timestamp> {
        let due = asked_at.plus(ASK_AGAIN);
        if due > now {
            return Some(due);
        }
        let deployment = service.record.deployment.as_mut().expect("whoever calls has seen it");
        deployment.state = DeploymentState::RollingBack { asked_at: now, reason: reason.clone() };
        self.touched_services.insert(service.id().clone());
        effects.extend(way_back(service, reason.clone()));
        Some(now.plus(ASK_AGAIN))
    }
}

/// The last good version in today's number of instances: how many there shall be is a wish of its own.
fn way_back(service: &Service, reason: Reason) -> Option<Effect> {
    let (good, bad) = (service.record.last_good.as_ref()?, service.version()?);
    let mut spec = good.spec.as_ref().clone();
    (spec.instances, spec.is_stopped) = (bad.spec.instances, bad.spec.is_stopped);
    let (service, to) = (service.id().clone(), Arc::new(spec));
    Some(Effect::RollBack { service, to, undone: bad.revision, reason })
}
