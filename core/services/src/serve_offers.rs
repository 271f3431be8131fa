//! Offers came: instances that wait are placed on them, and what is left is given back.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kogge_model::attribute::Attributes;
use kogge_model::digest::Digest;
use kogge_model::id::{AgentId, TaskId};
use kogge_model::name::{InstanceId, ServiceId};
use kogge_model::reason::Reason;
use kogge_model::scheduler::{Call, Offer};
use kogge_model::task::{PortBinding, TaskState};
use kogge_model::template::TaskTemplate;
use kogge_model::time::Timestamp;

use crate::chance::{Chance, task_label};
use crate::effect::{Effect, Effects};
use crate::placement::{Need, OfferTable, OpenOffer, PortCursors, Request, SeenAgent, shortfall};
use crate::reporting::{announce_instance, decided};
use crate::services::Services;
use crate::state::{Attempt, Instance, Phase, Service};
use crate::task_spec::{Launch, task_spec};

/// So many services are told in one round what their offers lacked; the others when somebody asks.
const EXPLAINED_IN_A_ROUND: usize = 50;

/// What instances have in common that are placed together.
struct Batch<'a> {
    /// What people call their service.
    service: String,
    template: &'a Arc<TaskTemplate>,
    need: Need,
}

/// Where an instance was placed.
struct Placement {
    number: u32,
    task: TaskId,
    agent: AgentId,
    attributes: Arc<Attributes>,
    ports: Vec<PortBinding>,
}

impl Services {
    pub(crate) fn serve_offers(&mut self, now: Timestamp, effects: &mut Effects) {
        let offers = std::mem::take(&mut self.offers);
        let unplaced = std::mem::take(&mut self.unplaced);
        let short = match offers.is_empty() {
            true => unplaced,
            false => self.place_all(now, offers, unplaced, effects),
        };
        for (i, id) in short.into_iter().enumerate() {
            self.note_shortfall(now, &id, i < EXPLAINED_IN_A_ROUND, effects);
        }
    }

    /// Places whatever waits, but no more than may be launched at once: the others have their turn with the next offers,
    /// which are asked for. Tells of which services some found no place.
    fn place_all(
        &mut self,
        now: Timestamp,
        offers: Vec<Offer>,
        unplaced: BTreeSet<ServiceId>,
        effects: &mut Effects,
    ) -> BTreeSet<ServiceId> {
        for offer in &offers {
            let (attributes, free) = (Arc::clone(&offer.attributes), offer.resources.clone());
            self.seen.insert(offer.agent.clone(), SeenAgent { attributes, free });
        }
        let mut table = OfferTable::new(offers);
        let (mut room, mut short) = (self.config.launches_at_once, BTreeSet::new());
        for id in self.in_turn() {
            if room == 0 {
                break;
            }
            let mut service = self.services.remove(&id).expect("only known services are ready");
            room -= self.place(now, &mut service, room, &mut table, effects);
            if service.ready().next().is_none() {
                self.ready.remove(&id);
            } else if room > 0 {
                short.insert(id.clone());
            }
            self.services.insert(id, service);
        }
        if room == 0 && !self.ready.is_empty() {
            self.observe_backlog(now);
            self.is_revival_due = true;
        }
        if now < self.behind_until.plus(self.config.offer_patience) {
            // These offers are not all there are; their patience begins anew.
            short.extend(unplaced);
            self.unsettled.append(&mut short);
        }
        self.scout(&mut table);
        self.rebalance(now, &mut table, effects);
        self.answer(table.into_offers(), effects);
        short
    }

    /// Services of which something waits: those with the fewest first, so that nobody waits behind a thousand of
    /// another one.
    fn in_turn(&self) -> Vec<ServiceId> {
        let mut ready: Vec<ServiceId> = self.ready.iter().cloned().collect();
        ready.sort_by_cached_key(|id| self.services[id].ready().count());
        ready
    }

    /// Places what waits of one service, version by version, but `most` at most; tells how many.
    fn place(
        &mut self,
        now: Timestamp,
        service: &mut Service,
        most: usize,
        table: &mut OfferTable,
        effects: &mut Effects,
    ) -> usize {
        let mut by_version: BTreeMap<Digest, Vec<u32>> = BTreeMap::new();
        for instance in service.ready() {
            by_version.entry(instance.version).or_default().push(instance.number());
        }
        let mut placed = 0;
        for numbers in by_version.into_values() {
            let numbers = &numbers[..numbers.len().min(most - placed)];
            let Some(first) = numbers.first() else { break };
            let template = Arc::clone(&service.instances[first].template);
            let placements = self.search(service, &template, numbers, table);
            placed += placements.len();
            self.touched_instances.insert_all(service.id(), placements.iter().map(|placed| placed.number));
            for placement in placements {
                let instance = service.instance_mut(placement.number).expect("it was just searched for");
                launch(now, instance, placement, effects);
            }
        }
        // Its limits begin to count now.
        self.unsettled.insert(service.id().clone());
        placed
    }

    fn search(
        &mut self,
        service: &Service,
        template: &Arc<TaskTemplate>,
        numbers: &[u32],
        table: &mut OfferTable,
    ) -> Vec<Placement> {
        let batch = Batch { service: service.id().to_string(), template, need: Need::of(template) };
        let (request, label) = (request(service, &batch.need), task_label(service.id()));
        let mut waiting = numbers.iter().copied();
        let mut placements = Vec::with_capacity(numbers.len());
        let Self { chance, ports, tasks, .. } = self;
        table.place(&request, numbers.len(), |offer| {
            let number = waiting.next().expect("no more are placed than wait");
            let id = InstanceId { service: service.id().clone(), number };
            let task = note_fresh_task(&id, &label, tasks, chance);
            placements.push(fill(offer, &id, task, &batch, ports, chance));
        });
        placements
    }

    /// Launches an instance on this very offer, which has room for it.
    pub(crate) fn launch_on(
        &mut self,
        now: Timestamp,
        service: &mut Service,
        number: u32,
        offer: &mut OpenOffer,
        effects: &mut Effects,
    ) {
        let id = InstanceId { service: service.id().clone(), number };
        let instance = service.instance_mut(number).expect("whoever calls has just made it");
        let template = Arc::clone(&instance.template);
        let batch = Batch { service: id.service.to_string(), template: &template, need: Need::of(&template) };
        let task = note_fresh_task(&id, &task_label(&id.service), &mut self.tasks, &mut self.chance);
        let placement = fill(offer, &id, task, &batch, &self.ports, &mut self.chance);
        launch(now, instance, placement, effects);
        self.touched_instances.insert(&id);
    }

    /// Launches on offers that were filled, gives the others back.
    fn answer(&mut self, offers: Vec<OpenOffer>, effects: &mut Effects) {
        let refuse = self.config.refuse;
        let mut unused = Vec::new();
        for offer in offers {
            if offer.launches.is_empty() {
                unused.push(offer.id);
                continue;
            }
            if let Some(cursor) = offer.port_cursor {
                self.ports.keep(&offer.agent, cursor);
            }
            if let Some(seen) = self.seen.get_mut(&offer.agent) {
                seen.free = offer.free;
            }
            let (offers, launches) = (vec![offer.id], offer.launches);
            effects.push(Effect::Call(Call::Accept { offers, launches, refuse }));
        }
        if !unused.is_empty() {
            effects.push(Effect::Call(Call::Decline { offers: unused, refuse }));
        }
    }

    /// Some of a service have no place. The first time its plan may change, for it may have to make room itself.
    fn note_shortfall(&mut self, now: Timestamp, id: &ServiceId, is_told: bool, effects: &mut Effects) {
        let Some(mut service) = self.services.remove(id) else { return };
        let waiting: Vec<u32> = service.ready().map(Instance::number).collect();
        let mut told: BTreeMap<Digest, Reason> = BTreeMap::new();
        for number in waiting {
            let version = service.instances[&number].version;
            let reason = told.entry(version).or_insert_with(|| match is_told {
                true => shortfall_of(&service, &service.instances[&number], &self.seen)
                    .unwrap_or_else(|| "waits for an offer".into()),
                false => "waits for an offer: none had room".into(),
            });
            let reason = reason.clone();
            let instance = service.instance_mut(number).expect("it was just seen");
            let Phase::Waiting(waiting) = &mut instance.phase else { continue };
            if waiting.shortfall.as_ref() != Some(&reason) {
                if waiting.shortfall.replace(reason.clone()).is_none() {
                    self.touched_instances.insert(&instance.id);
                }
                decided(now, instance, "wait", reason, effects);
                self.unsettled.insert(id.clone());
            }
        }
        self.services.insert(id.clone(), service);
    }
}

/// The instance gets an id for a task that no other one has.
fn note_fresh_task(
    instance: &InstanceId,
    label: &str,
    known: &mut BTreeMap<TaskId, InstanceId>,
    chance: &mut Chance,
) -> TaskId {
    loop {
        let task = TaskId::new(chance.task_id(label, instance.number));
        if let Entry::Vacant(free) = known.entry(task.clone()) {
            free.insert(instance.clone());
            return task;
        }
    }
}

/// Puts an instance into an offer.
fn fill(
    offer: &mut OpenOffer,
    id: &InstanceId,
    task: TaskId,
    batch: &Batch<'_>,
    cursors: &PortCursors,
    chance: &mut Chance,
) -> Placement {
    let OpenOffer { agent, port_cursor, free, .. } = offer;
    let host_ports = cursors.take(agent, port_cursor, &batch.need.ports, &mut free.ports, chance);
    let spec = task_spec(&Launch {
        task: task.clone(),
        instance: id,
        service: &batch.service,
        template: batch.template,
        agent: &offer.agent,
        attributes: &offer.attributes,
        host_ports: &host_ports,
    });
    // The ports were taken out of the offer one by one already.
    offer.set_aside(&batch.need);
    let ports = spec.ports.clone();
    offer.launches.push(Arc::new(spec));
    let (agent, attributes) = (offer.agent.clone(), Arc::clone(&offer.attributes));
    Placement { number: id.number, task, agent, attributes, ports }
}

fn launch(now: Timestamp, instance: &mut Instance, placement: Placement, effects: &mut Effects) {
    let text = format!("on agent {}", placement.agent);
    instance.enter(Phase::Live(Attempt {
        task: placement.task,
        agent: placement.agent,
        attributes: placement.attributes,
        run: None,
        launched_at: now,
        ports: placement.ports,
        state: TaskState::Staging,
        reason: Reason::default(),
        sequence: 0,
        running_since: None,
        is_on_trial: false,
        healthy_since: None,
        was_healthy: false,
        moving: None,
    }));
    decided(now, instance, "placed", format!("{text}: it has room and the fewest of its kind"), effects);
    announce_instance(instance, text, effects);
}

fn request<'a>(service: &'a Service, need: &'a Need) -> Request<'a> {
    request_without(service, need, None)
}

/// As if one of the instances were not there.
pub(crate) fn request_without<'a>(service: &'a Service, need: &'a Need, without: Option<u32>) -> Request<'a> {
    let others = service.instances.values().filter(|instance| Some(instance.number()) != without);
    let attempts = others.filter_map(|instance| instance.attempt());
    Request {
        need,
        constraints: service.version().map_or(&[], |version| version.spec.constraints.as_slice()),
        taken: attempts.map(|attempt| (&attempt.agent, &attempt.attributes)).collect(),
    }
}

/// What the agents lack for an instance that waits for an offer.
pub(crate) fn shortfall_of(
    service: &Service,
    instance: &Instance,
    seen: &BTreeMap<AgentId, SeenAgent>,
) -> Option<Reason> {
    let Phase::Waiting(waiting) = &instance.phase else { return None };
    waiting.is_ready.then(|| shortfall(&request(service, &Need::of(&instance.template)), seen))
}

/// What the agents lack for the successor of an instance that has to move, if nothing is on its way to be that.
pub(crate) fn shortfall_of_moving(
    service: &Service,
    instance: &Instance,
    seen: &BTreeMap<AgentId, SeenAgent>,
) -> Option<Reason> {
    let (tally, version) = (service.tally(), service.version()?);
    let waiting = service.instances.values().find_map(|instance| match &instance.phase {
        Phase::Waiting(waiting) => waiting.shortfall.clone(),
        Phase::Live(_) | Phase::Draining { .. } | Phase::Killing { .. } => None,
    });
    if waiting.is_some() {
        return waiting;
    }
    let is_succeeded = tally.updated - tally.moving >= tally.wish || tally.leaving > 0;
    let need = Need::of(&version.template);
    (!is_succeeded).then(|| shortfall(&request_without(service, &need, Some(instance.number())), seen))
}
