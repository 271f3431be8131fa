//! Bounds of a rolling replace: nothing healthy is stopped below the minimum, nothing is created beyond the maximum.

use std::collections::{BTreeMap, BTreeSet};

use kogge_model::name::{InstanceId, ServiceId};
use kogge_services::{Instance, Phase};

use crate::store::Tree;

pub(super) fn bounds(
    before: &BTreeMap<InstanceId, Instance>,
    after: &BTreeMap<InstanceId, Instance>,
    tree: &Tree,
) -> Result<(), String> {
    let changed: BTreeSet<&ServiceId> =
        after.iter().filter(|(id, now)| before.get(id) != Some(now)).map(|(id, _)| &id.service).collect();
    for service in changed {
        let Some(spec) = tree.services.get(service) else { continue };
        let of = |all: &BTreeMap<InstanceId, Instance>| -> Vec<Instance> {
            all.iter()
                .filter(|(id, _)| id.service == *service)
                .map(|(_, instance)| instance.clone())
                .collect()
        };
        let (was, is) = (of(before), of(after));
        minimum(service, &was, &is, spec.min_healthy())?;
        maximum(service, &was, &is, spec.max_total())?;
    }
    Ok(())
}

fn minimum(service: &ServiceId, was: &[Instance], is: &[Instance], minimum: u32) -> Result<(), String> {
    let is_stopped = |old: &&Instance| {
        let new = is.iter().find(|new| new.id == old.id);
        old.is_healthy()
            && new.is_some_and(|new| {
                let is_ill = new.running().is_some_and(|running| !running.health.is_healthy());
                matches!(new.phase, Phase::Draining { .. } | Phase::Killing { .. }) && !is_ill
            })
    };
    let Some(stopped) = was.iter().find(is_stopped) else { return Ok(()) };
    let healthy = is.iter().filter(|instance| instance.is_healthy()).count();
    if healthy < minimum as usize {
        return Err(format!(
            "capacity: {} was stopped though {healthy} healthy ones of {service} are under its minimum {minimum}",
            stopped.id
        ));
    }
    Ok(())
}

fn maximum(service: &ServiceId, was: &[Instance], is: &[Instance], maximum: u32) -> Result<(), String> {
    let is_new = |new: &Instance| was.iter().all(|old| old.id != new.id);
    if is.len() > maximum as usize && is.iter().any(is_new) {
        return Err(format!("capacity: {service} grew to {}, over its maximum {maximum}", is.len()));
    }
    Ok(())
}
