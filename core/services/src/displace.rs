//! Which tasks shall not stay where they are, because their agents are wanted back.
//!
//! A task that has to move counts as capacity until another one is healthy elsewhere; from there on it is replaced
//! like one of an older version, within the same bounds (G11). Where the bounds ask that it goes first, it goes only
//! once there is a place for its successor.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kogge_model::id::AgentId;
use kogge_model::name::ServiceId;
use kogge_model::reason::Reason;
use kogge_model::scheduler::InverseOffer;
use kogge_model::time::Timestamp;

use crate::effect::Effects;
use crate::placement::{Need, OfferTable};
use crate::reporting::decided;
use crate::serve_offers::request_without;
use crate::services::Services;
use crate::state::{Deployment, Instance, MoveCause, Moving, Phase, Service};

impl Services {
    /// The kernel tells which agents are to be left, all of them.
    pub(crate) fn hear_inverse_offers(&mut self, now: Timestamp, offers: Vec<InverseOffer>) {
        let wanted: BTreeMap<AgentId, Reason> =
            offers.into_iter().map(|offer| (offer.agent, offer.reason)).collect();
        let before = self.inverse.take().unwrap_or_default();
        // Whatever they offered last is not to be had any more.
        self.seen.retain(|agent, _| !wanted.contains_key(agent));
        let touches = |instance: &Arc<Instance>| {
            let agent = instance.attempt().map(|attempt| &attempt.agent);
            let is_told = agent.is_some_and(|agent| wanted.get(agent) != before.get(agent));
            is_told || instance.moving().is_some()
        };
        let touched = self.services.values().filter(|service| service.instances.values().any(touches));
        self.unsettled.extend(touched.map(|service| service.id().clone()).collect::<Vec<ServiceId>>());
        self.inverse = Some(wanted);
        self.want_balance(now);
    }

    /// Marks what has to move, and takes back what has not.
    pub(crate) fn displace(&mut self, now: Timestamp, service: &mut Service, effects: &mut Effects) {
        let keeps_balance = keeps_balance(service);
        for instance in service.instances.values_mut() {
            let Phase::Live(attempt) = &instance.phase else { continue };
            // Before the kernel has said which agents are to be left, marks stand as they were saved.
            let wanted = match &self.inverse {
                Some(inverse) => inverse.get(&attempt.agent),
                None => match &attempt.moving {
                    Some(moving) if moving.cause == MoveCause::Drain => Some(&moving.reason),
                    Some(_) | None => None,
                },
            };
            let next = match (&attempt.moving, wanted) {
                (Some(moving), Some(reason)) if moving.cause == MoveCause::Drain => (moving.reason
                    != *reason)
                    .then(|| Some(Moving { reason: reason.clone(), ..moving.clone() })),
                (_, Some(reason)) => Some(Some(Moving::new(MoveCause::Drain, now, reason.clone()))),
                (Some(moving), None) if moving.cause == MoveCause::Drain || !keeps_balance => Some(None),
                (_, None) => None,
            };
            let Some(next) = next else { continue };
            let instance = Arc::make_mut(instance);
            let attempt = instance.attempt_mut().expect("a live instance has a task");
            let old = std::mem::replace(&mut attempt.moving, next.clone());
            match (old, next) {
                (_, Some(moving)) => {
                    let text =
                        format!("{}: it moves as soon as another one is healthy elsewhere", moving.reason);
                    decided(now, instance, "move", Reason { text, hint: moving.reason.hint }, effects);
                }
                (Some(old), None) => {
                    if old.cause == MoveCause::Balance {
                        self.balance.rest(service.record.service.clone(), now.plus(self.config.balance_rest));
                    }
                    decided(now, instance, "stay", "it need not move any more", effects);
                }
                (None, None) => {}
            }
            self.touched_instances.insert(&instance.id);
        }
    }

    /// Services of which something cannot move before it has gone look for a place first.
    pub(crate) fn note_scouting(&mut self, service: &Service) {
        if needs_scout(service) {
            self.is_revival_due |= self.scouting.insert(service.id().clone());
        } else {
            self.scouting.remove(service.id());
        }
    }

    /// Whoever has to go first may go if these offers have room for its successor. That room is set aside, so that
    /// no two count on the same.
    pub(crate) fn scout(&mut self, table: &mut OfferTable) {
        let scouting: BTreeSet<ServiceId> = self.scouting.clone();
        for id in scouting {
            let Some(mut service) = self.services.remove(&id) else { continue };
            let spare = spare(&service);
            let mut found = 0;
            let moving: Vec<u32> = moving_for_drain(&service).map(Instance::number).collect();
            for number in moving {
                let has_place = found < spare && has_place(&service, number, table);
                found += u32::from(has_place);
                let instance = service.instance_mut(number).expect("it was just seen");
                let moving = instance.attempt_mut().and_then(|attempt| attempt.moving.as_mut());
                moving.expect("it was just seen moving").has_place = has_place;
            }
            self.services.insert(id.clone(), service);
            if found > 0 {
                self.unsettled.insert(id);
            }
        }
    }
}

fn moving_for_drain(service: &Service) -> impl Iterator<Item = &Instance> {
    let instances = service.instances.values().map(Arc::as_ref);
    instances.filter(|instance| instance.moving().is_some_and(|moving| moving.cause == MoveCause::Drain))
}

fn has_place(service: &Service, number: u32, table: &mut OfferTable) -> bool {
    let Some(version) = service.version() else { return false };
    let need = Need::of(&version.template);
    table.place(&request_without(service, &need, Some(number)), 1, |offer| offer.set_aside(&need)) == 1
}

/// Healthy ones that may go before others come.
fn spare(service: &Service) -> u32 {
    let least = service.version().map_or(0, |version| version.spec.min_healthy());
    service.tally().healthy().saturating_sub(least)
}

/// Something has to move, and its successor has no room: under the maximum, or on any agent.
fn needs_scout(service: &Service) -> bool {
    let Some(version) = service.version() else { return false };
    let tally = service.tally();
    if tally.leaving > 0 || spare(service) == 0 || moving_for_drain(service).next().is_none() {
        return false;
    }
    let is_full = tally.total() >= version.spec.max_total();
    let is_blocked = service.instances.values().any(|instance| match &instance.phase {
        Phase::Waiting(waiting) => waiting.shortfall.is_some(),
        Phase::Live(_) | Phase::Draining { .. } | Phase::Killing { .. } => false,
    });
    is_full || is_blocked
}

/// A move for balance goes on only while nothing else happens to its service: its successor is on its way and no
/// deployment runs. Otherwise it is not worth anybody's trouble.
fn keeps_balance(service: &Service) -> bool {
    let staying =
        service.instances.values().filter(|instance| !instance.is_leaving() && instance.moving().is_none());
    let (mut live, mut others) = (0, 0);
    for instance in staying {
        match &instance.phase {
            Phase::Live(_) => live += 1,
            Phase::Waiting(_) | Phase::Draining { .. } | Phase::Killing { .. } => others += 1,
        }
    }
    let is_deploying = service.deployment().is_some_and(Deployment::is_under_way);
    others == 0 && live >= service.wish() && !is_deploying
}
