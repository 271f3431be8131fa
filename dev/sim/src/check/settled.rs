//! Once faults stop, what runs is what is wanted, and nothing else; what cannot run was given up or rolled back.

use std::collections::BTreeMap;

use kogge_model::id::TaskId;
use kogge_services::{Instance, Service};

use crate::behaviour::Behaviour;
use crate::container::Container;
use crate::machine::Machine;
use crate::server::Server;

/// Why the cluster is not settled, if so.
pub(crate) fn unsettled(server: &Server, machines: &[Machine]) -> Option<String> {
    let containers: BTreeMap<&TaskId, &Container> =
        machines.iter().filter(|machine| machine.node.is_some()).flat_map(Machine::present).collect();
    for service in server.services.iter() {
        if let Err(why) = check_service(server, service, &containers) {
            return Some(format!("{}: {why}", service.id()));
        }
    }
    for id in server.tree.services.keys() {
        if server.services.get(id).is_none() {
            return Some(format!("{id} is wanted and not there"));
        }
    }
    if let Some(why) = super::drain::not_emptied(server, machines) {
        return Some(why);
    }
    let claimed: Vec<&TaskId> =
        server.instances.values().filter_map(Instance::attempt).map(|attempt| &attempt.task).collect();
    let orphan = containers.keys().find(|task| !claimed.contains(*task));
    orphan.map(|task| format!("task {task} runs and is nobody's"))
}

fn check_service(
    server: &Server,
    service: &Service,
    containers: &BTreeMap<&TaskId, &Container>,
) -> Result<(), String> {
    let Some(spec) = server.tree.services.get(service.id()) else {
        return Err(format!("it is not wanted, {} instances are left", service.instances.len()));
    };
    if service.deployment().is_some_and(kogge_services::Deployment::is_under_way) {
        return Err("a deployment is under way".into());
    }
    if !Behaviour::of(&spec.template).is_good() && spec.wish() > 0 {
        return check_hopeless(service);
    }
    let digest = spec.template.digest();
    let (wish, healthy) = (spec.wish(), count_healthy(service, &digest, containers));
    let all = service.instances.len();
    if healthy != wish as usize || all != wish as usize {
        return Err(format!("{healthy} of {wish} are healthy, there are {all}"));
    }
    Ok(())
}

/// A version that cannot run stays only if there is nothing good to go back to.
fn check_hopeless(service: &Service) -> Result<(), String> {
    let is_good = |version: &kogge_services::Version| Behaviour::of(&version.template).is_good();
    let wanted = service.version().map(|version| version.digest);
    let last_good = service.record.last_good.as_ref().filter(|version| Some(version.digest) != wanted);
    match last_good {
        Some(version) if is_good(version) => Err("it cannot run and was not rolled back".into()),
        _ => Ok(()),
    }
}

fn count_healthy(
    service: &Service,
    digest: &kogge_model::digest::Digest,
    containers: &BTreeMap<&TaskId, &Container>,
) -> usize {
    let runs = |instance: &Instance| {
        instance.attempt().is_some_and(|attempt| {
            containers.get(&attempt.task).is_some_and(|container| container.is_running())
        })
    };
    service
        .instances
        .values()
        .filter(|instance| instance.is_healthy() && instance.version == *digest && runs(instance))
        .count()
}
