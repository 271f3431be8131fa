//! The tree says something: wishes change, deployments begin.

use std::sync::Arc;

use kogge_model::id::{DeploymentId, RevisionId};
use kogge_model::name::ServiceId;
use kogge_model::reason::Reason;
use kogge_model::service::ServiceSpec;
use kogge_model::time::Timestamp;

use crate::effect::{Effect, Effects};
use crate::input::Change;
use crate::reporting::{announce_deployment, decided_of_service};
use crate::services::Services;
use crate::state::{
    Deployment, DeploymentState, Failures, Progress, Service, ServiceRecord, Version, Wanted,
};

impl Services {
    pub(crate) fn hear_desired(
        &mut self,
        now: Timestamp,
        revision: RevisionId,
        change: Change,
        effects: &mut Effects,
    ) {
        if revision < self.revision {
            // An echo, or a tree that is older than what was already made true: never a reason to stop anything (G4).
            let reason = Reason::new(format!("revision {revision} is older than {}", self.revision));
            return effects.push(Effect::Explain(kogge_model::decision::Decision {
                at: now,
                service: None,
                instance: None,
                task: None,
                verb: "ignore".into(),
                reason,
            }));
        }
        self.revision = revision;
        let changed = match change {
            Change::Changed(changed) => changed,
            Change::Whole(wanted) => {
                let gone = self.services.keys().filter(|id| !wanted.contains_key(*id)).cloned();
                let gone: Vec<ServiceId> = gone.collect();
                let wanted = wanted.into_iter().map(|(id, spec)| (id, Some(spec)));
                wanted.chain(gone.into_iter().map(|id| (id, None))).collect()
            }
        };
        for (id, spec) in changed {
            match spec {
                Some(spec) => self.want(now, id, revision, spec, effects),
                None => self.unwant(now, &id, revision, effects),
            }
        }
    }

    fn want(
        &mut self,
        now: Timestamp,
        id: ServiceId,
        revision: RevisionId,
        spec: Arc<ServiceSpec>,
        effects: &mut Effects,
    ) {
        if self.services.get(&id).and_then(Service::version).is_some_and(|version| version.spec == spec) {
            return;
        }
        let version = Version::new(revision, spec);
        let service = self.services.entry(id.clone()).or_insert_with(|| {
            Service::new(ServiceRecord {
                service: id.clone(),
                wanted: Wanted::Removed,
                last_good: None,
                deployment: None,
            })
        });
        if !is_way_back(service, &version) {
            supersede(now, service, revision, effects);
            begin(now, service, &version, effects);
        }
        service.record.wanted = Wanted::Version(version);
        self.touched_services.insert(id.clone());
        self.unsettled.insert(id);
    }

    fn unwant(&mut self, now: Timestamp, id: &ServiceId, revision: RevisionId, effects: &mut Effects) {
        let Some(service) = self.services.get_mut(id) else { return };
        if service.record.wanted == Wanted::Removed {
            return;
        }
        supersede(now, service, revision, effects);
        service.record.wanted = Wanted::Removed;
        // What comes under this name later has a history of its own.
        service.record.last_good = None;
        decided_of_service(now, id, "remove", format!("revision {revision} removed it"), effects);
        self.touched_services.insert(id.clone());
        self.unsettled.insert(id.clone());
    }
}

/// Whether this is the answer to our own wish to go back, so that the deployment goes on.
fn is_way_back(service: &Service, version: &Version) -> bool {
    let is_rolling_back = service
        .deployment()
        .is_some_and(|deployment| matches!(deployment.state, DeploymentState::RollingBack { .. }));
    let good = service.record.last_good.as_ref();
    is_rolling_back && good.is_some_and(|good| good.digest == version.digest)
}

/// Ends the deployment under way: the newer one goes on from whatever there is (G13).
fn supersede(now: Timestamp, service: &mut Service, by: RevisionId, effects: &mut Effects) {
    let id = service.id().clone();
    let Some(deployment) = service.record.deployment.as_mut() else { return };
    if deployment.is_under_way() {
        deployment.enter(DeploymentState::Superseded { at: now, by });
        announce_deployment(&id, deployment, format!("revision {by} took over"), effects);
    }
}

fn begin(now: Timestamp, service: &mut Service, version: &Version, effects: &mut Effects) {
    let id = service.id().clone();
    let before = service.version().map(|old| old.digest);
    let good = service.record.last_good.as_ref().map(|good| good.digest);
    let mut deployment = Deployment {
        id: deployment_id(&id, version.revision),
        revision: version.revision,
        from: before.and(good).or(before),
        to: version.digest,
        started_at: now,
        deadline_at: now.plus(version.spec.upgrade.deadline()),
        progress: Progress { most_healthy: 0, fewest_outdated: u32::MAX, at: now },
        failures: Failures::default(),
        state: DeploymentState::Running,
    };
    // The same instances go on: what was learnt of them still holds.
    if let Some(old) = service.deployment().filter(|old| old.to == version.digest && before == Some(old.to)) {
        deployment.failures = old.failures.clone();
    }
    let text = what_changes(service, version);
    announce_deployment(&id, &deployment, text.clone(), effects);
    decided_of_service(now, &id, "deploy", text, effects);
    service.record.deployment = Some(deployment);
}

fn deployment_id(id: &ServiceId, revision: RevisionId) -> DeploymentId {
    DeploymentId::new(format!("{}.{}.{}.{revision}", id.app.environment, id.app.app, id.service))
}

fn what_changes(service: &Service, version: &Version) -> String {
    let (revision, wish) = (version.revision, version.spec.wish());
    let instances = if wish == 1 { "1 instance".to_owned() } else { format!("{wish} instances") };
    match service.version() {
        None => format!("revision {revision} wants {instances}"),
        Some(_) if version.spec.is_stopped => format!("revision {revision} stops it"),
        Some(old) if old.digest != version.digest && wish > 0 => {
            format!("revision {revision} takes the place of revision {} in {instances}", old.revision)
        }
        Some(old) if old.spec.wish() == wish => {
            format!("revision {revision} changes what no instance has to be replaced for")
        }
        Some(old) => format!("revision {revision} wants {instances} instead of {}", old.spec.wish()),
    }
}
