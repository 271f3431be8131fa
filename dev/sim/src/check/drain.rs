//! A drained agent is offered to nobody and ends up empty; for balance alone one instance moves at a time.

use std::collections::BTreeMap;

use kogge_kernel as kernel;
use kogge_model::name::InstanceId;
use kogge_model::scheduler::Event;
use kogge_services::{Instance, MoveCause};

use crate::behaviour::Behaviour;
use crate::machine::Machine;
use crate::server::Server;

pub(super) fn drained_agents_are_not_offered(
    effects: &[kernel::Effect],
    view: kernel::View<'_>,
) -> Result<(), String> {
    for effect in effects {
        let kernel::Effect::ToFramework { event: Event::Offers(offers), .. } = effect else { continue };
        let is_drained = |agent| view.agent(agent).is_some_and(|agent| agent.rules().drain.is_some());
        if let Some(offer) = offers.iter().find(|offer| is_drained(&offer.agent)) {
            return Err(format!("drain: offer {} is of {}, which is drained", offer.id, offer.agent));
        }
    }
    Ok(())
}

pub(super) fn one_moves_for_balance(instances: &BTreeMap<InstanceId, Instance>) -> Result<(), String> {
    let mut moving = instances.values().filter(|instance| {
        let moving = instance.attempt().and_then(|attempt| attempt.moving.as_ref());
        moving.is_some_and(|moving| moving.cause == MoveCause::Balance) && !instance.is_leaving()
    });
    match (moving.next(), moving.next()) {
        (Some(one), Some(other)) => Err(format!("balance: {} and {} move at once", one.id, other.id)),
        _ => Ok(()),
    }
}

/// What still runs on a machine that is drained, though there is room elsewhere. A version that cannot run has no
/// successors, so what serves in its place stays.
pub(super) fn not_emptied(server: &Server, machines: &[Machine]) -> Option<String> {
    let view = server.kernel.view();
    let is_drained =
        |machine: &&Machine| view.agent(&machine.id()).is_some_and(|agent| agent.rules().drain.is_some());
    let answering = machines.iter().filter(|machine| machine.node.is_some()).filter(is_drained);
    let mut left = answering.flat_map(|machine| machine.present().map(move |(task, _)| (machine, task)));
    let can_move = |task: &kogge_model::id::TaskId| {
        let owner = server.services.instance_of(task).map(|instance| &instance.id.service);
        let spec = owner.and_then(|service| server.tree.services.get(service));
        spec.is_some_and(|spec| Behaviour::of(&spec.template).is_good())
    };
    let (machine, task) = left.find(|(_, task)| can_move(task))?;
    Some(format!("m{} is drained and still has {task}", machine.index))
}
