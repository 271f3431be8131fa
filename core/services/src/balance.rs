//! Work goes back to agents that come, come back or are used again: one instance of the whole cloud at a time, and
//! only while nothing else is going on. See `plan_balance` for when it is worth it.

use std::collections::BTreeMap;
use std::sync::Arc;

use kogge_model::attribute::Attributes;
use kogge_model::id::AgentId;
use kogge_model::name::ServiceId;
use kogge_model::reason::Reason;
use kogge_model::time::Timestamp;

use crate::effect::Effects;
use crate::placement::{Need, OfferTable};
use crate::plan_balance::{Member, Step, is_crowded, plan_balance};
use crate::reporting::decided;
use crate::services::Services;
use crate::state::{Deployment, MoveCause, Moving, Service};

/// Whether somebody had better look if instances could stand more evenly.
///
/// ```text
///  idle ──something changed──▶ due ──all is quiet──▶ scouting ──offers──▶ one moves, or idle
///                               ▲ └──not yet──┘
/// ```
#[derive(Debug, Clone, Default)]
pub(crate) struct Balance {
    /// Look then.
    due: Option<Timestamp>,
    /// Offers were asked for.
    pub(crate) is_scouting: bool,
    /// Services whose last move came to nothing are left in peace for a while.
    resting: BTreeMap<ServiceId, Timestamp>,
    /// What agents that came have for attributes, where instances may remember others.
    fresh: BTreeMap<AgentId, Arc<Attributes>>,
}

impl Balance {
    pub(crate) const fn due(&self) -> Option<Timestamp> {
        self.due
    }

    pub(crate) fn rest(&mut self, service: ServiceId, until: Timestamp) {
        self.resting.insert(service, until);
    }
}

impl Services {
    /// Something changed that may make another place better.
    pub(crate) fn want_balance(&mut self, now: Timestamp) {
        let at = now.plus(self.config.balance_delay);
        if !self.balance.is_scouting && self.balance.due.is_none_or(|due| due > at) {
            self.balance.due = Some(at);
        }
    }

    /// An agent may be worth a look.
    pub(crate) fn hear_ready(&mut self, now: Timestamp, agent: AgentId, attributes: Arc<Attributes>) {
        self.balance.fresh.insert(agent, attributes);
        self.want_balance(now);
    }

    /// If a look is due: asks for offers, unless there is nothing that could move or something else goes on.
    pub(crate) fn look_at_balance(&mut self, now: Timestamp) {
        if self.balance.due.is_none_or(|due| due > now) {
            return;
        }
        self.refresh_attributes();
        self.balance.resting.retain(|_, until| *until > now);
        // Whoever rests is looked at again after that.
        self.balance.due = self.balance.resting.values().min().copied();
        if !self.candidates().any(|service| is_crowded(constraints(service), &members(service))) {
            return;
        }
        if self.is_quiet() {
            self.balance.is_scouting = true;
            self.is_revival_due = true;
        } else {
            self.balance.due = Some(now.plus(self.config.balance_delay));
        }
    }

    /// With offers at hand: moves the first instance that is worth it.
    pub(crate) fn rebalance(&mut self, now: Timestamp, table: &mut OfferTable, effects: &mut Effects) {
        if !std::mem::take(&mut self.balance.is_scouting) {
            return;
        }
        if !self.is_quiet() {
            return self.want_balance(now);
        }
        let found = self.candidates().find_map(|service| {
            let template = &service.version()?.template;
            let members = members(service);
            if !is_crowded(constraints(service), &members) {
                return None;
            }
            let step = plan_balance(&Need::of(template), constraints(service), &members, table.offers())?;
            Some((service.id().clone(), step))
        });
        if let Some((id, step)) = found {
            let mut service = self.services.remove(&id).expect("it was just seen");
            self.move_one(now, &mut service, &step, table, effects);
            self.services.insert(id.clone(), service);
            self.unsettled.insert(id);
        }
    }

    /// Its successor starts on the offer at hand, so that it cannot end up where it came from.
    fn move_one(
        &mut self,
        now: Timestamp,
        service: &mut Service,
        step: &Step,
        table: &mut OfferTable,
        effects: &mut Effects,
    ) {
        let reason = Reason::new(&step.reason);
        let instance = service.instance_mut(step.number).expect("it was just planned");
        let attempt = instance.attempt_mut().expect("only what runs is moved");
        attempt.moving = Some(Moving::new(MoveCause::Balance, now, reason.clone()));
        decided(now, instance, "move", reason, effects);
        self.touched_instances.insert(&instance.id);
        let number = service.free_numbers(1)[0];
        self.create(now, service, number, effects);
        self.launch_on(now, service, number, table.offer_mut(step.offer), effects);
    }

    /// Services of which an instance may move for a better place: one more may run meanwhile. One that had to go first
    /// would leave its room to its own successor, and move for ever.
    fn candidates(&self) -> impl Iterator<Item = &Service> {
        self.services.values().filter(|service| {
            let Some(version) = service.version() else { return false };
            let wish = version.spec.wish();
            version.spec.max_total() > wish && !self.balance.resting.contains_key(service.id())
        })
    }

    /// Everything is as wished: nothing is deployed, unhealthy, moving or on its way out.
    fn is_quiet(&self) -> bool {
        self.services.values().all(|service| {
            let tally = service.tally();
            let is_deploying = service.deployment().is_some_and(Deployment::is_under_way);
            tally.is_settled() && tally.total() == tally.wish && tally.moving == 0 && !is_deploying
        })
    }

    /// Agents may have come back with other attributes than their instances remember.
    fn refresh_attributes(&mut self) {
        let fresh = std::mem::take(&mut self.balance.fresh);
        for instance in self.services.values_mut().flat_map(|service| service.instances.values_mut()) {
            let newer = instance.attempt().and_then(|attempt| {
                fresh.get(&attempt.agent).filter(|attributes| **attributes != attempt.attributes)
            });
            let Some(newer) = newer else { continue };
            let instance = Arc::make_mut(instance);
            let attempt = instance.attempt_mut().expect("it was just seen");
            attempt.attributes = Arc::clone(newer);
            self.touched_instances.insert(&instance.id);
        }
    }
}

fn constraints(service: &Service) -> &[kogge_model::attribute::Constraint] {
    service.version().map_or(&[], |version| version.spec.constraints.as_slice())
}

fn members(service: &Service) -> Vec<Member<'_>> {
    let instances = service.instances.values();
    let standing = instances.filter_map(|instance| {
        let attempt = instance.attempt()?;
        Some(Member { number: instance.number(), agent: &attempt.agent, attributes: &attempt.attributes })
    });
    standing.collect()
}
