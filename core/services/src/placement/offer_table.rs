//! The offers of one round, by how free they are within each set of filters.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use kogge_model::attribute::{Attributes, Constraint};
use kogge_model::id::{AgentId, OfferId};
use kogge_model::resources::Resources;
use kogge_model::scheduler::Offer;
use kogge_model::task::TaskSpec;

use super::census::{Census, Crowding};
use super::request::{Need, Request, allows, pool_key};

/// An offer while it is filled.
#[derive(Debug)]
pub(crate) struct OpenOffer {
    pub(crate) id: OfferId,
    pub(crate) agent: AgentId,
    pub(crate) attributes: Arc<Attributes>,
    /// What is left of it.
    pub(crate) free: Resources,
    /// Where to look for its next host port, once one was taken.
    pub(crate) port_cursor: Option<u16>,
    /// What it was filled with.
    pub(crate) launches: Vec<Arc<TaskSpec>>,
}

/// The offers of one round.
#[derive(Debug)]
pub(crate) struct OfferTable {
    offers: Vec<OpenOffer>,
    by_attribute: BTreeMap<String, BTreeMap<String, Vec<usize>>>,
    pools: BTreeMap<Vec<Constraint>, Pool>,
}

/// All offers that pass one set of filters, in one group for each combination of values of the `spread:` keys.
#[derive(Debug, Default)]
struct Pool {
    groups: Vec<Group>,
    /// What none of them has room for, in this round.
    hopeless: Vec<Need>,
}

/// The values of an agent's `spread:` keys.
type Values = Vec<Option<String>>;

/// Offers whose `spread:` keys have the same values.
#[derive(Debug)]
struct Group {
    values: Values,
    /// By room; the entry of an offer that was filled meanwhile is out of date until it comes up.
    heap: BinaryHeap<(u64, Reverse<usize>)>,
}

impl OpenOffer {
    pub(crate) const fn new(
        id: OfferId,
        agent: AgentId,
        attributes: Arc<Attributes>,
        free: Resources,
    ) -> Self {
        Self { id, agent, attributes, free, port_cursor: None, launches: Vec::new() }
    }

    /// Takes what an instance needs out of it, but for its ports.
    pub(crate) fn set_aside(&mut self, need: &Need) {
        self.free.cpu_millis.0 -= need.cpu_millis;
        self.free.mem_bytes.0 -= need.mem_bytes;
        self.free.disk_bytes.0 -= need.disk_bytes;
    }

    /// How much fits into it: a thousandth of a core weighs as much as a MiB.
    pub(crate) fn room(&self) -> u64 {
        self.free.cpu_millis.0.min(self.free.mem_bytes.0 >> 20)
    }
}

impl OfferTable {
    pub(crate) fn new(offers: Vec<Offer>) -> Self {
        let mut by_attribute: BTreeMap<String, BTreeMap<String, Vec<usize>>> = BTreeMap::new();
        for (index, offer) in offers.iter().enumerate() {
            for (key, value) in offer.attributes.iter() {
                if !by_attribute.contains_key(key) {
                    by_attribute.insert(key.clone(), BTreeMap::new());
                }
                let by_value = by_attribute.get_mut(key).expect("it was just inserted");
                match by_value.get_mut(value) {
                    Some(indices) => indices.push(index),
                    None => {
                        by_value.insert(value.clone(), vec![index]);
                    }
                }
            }
        }
        let open = |offer: Offer| OpenOffer::new(offer.id, offer.agent, offer.attributes, offer.resources);
        Self { offers: offers.into_iter().map(open).collect(), by_attribute, pools: BTreeMap::new() }
    }

    pub(crate) fn offers(&self) -> &[OpenOffer] {
        &self.offers
    }

    /// One of them, to be filled past the search. Nothing can be searched for after that.
    pub(crate) fn offer_mut(&mut self, index: usize) -> &mut OpenOffer {
        self.pools.clear();
        &mut self.offers[index]
    }

    pub(crate) fn into_offers(self) -> Vec<OpenOffer> {
        self.offers
    }

    /// Places up to `count` instances: `fill` launches one on an offer that has room and takes out of it what it
    /// needs. Tells how many were placed.
    pub(crate) fn place(
        &mut self,
        request: &Request<'_>,
        count: usize,
        mut fill: impl FnMut(&mut OpenOffer),
    ) -> usize {
        let key = pool_key(request.constraints);
        let mut pool = self.pools.remove(&key).unwrap_or_else(|| self.new_pool(&key));
        let mut placed = 0;
        if !pool.hopeless.iter().any(|need| request.need.is_at_least(need)) {
            let mut search = Search::new(&mut pool, request);
            while placed < count {
                let Some((group, index)) = search.next(&self.offers) else { break };
                let offer = &mut self.offers[index];
                fill(offer);
                let on_agent = search.census.add(&offer.agent, &offer.attributes);
                search.set_aside(offer, on_agent, group, index);
                placed += 1;
            }
            search.finish(&self.offers, placed < count);
        }
        self.pools.insert(key, pool);
        placed
    }

    fn new_pool(&self, key: &[Constraint]) -> Pool {
        let spread: Vec<&str> = key.iter().filter_map(spread_key).collect();
        let mut groups: BTreeMap<Values, Vec<(u64, Reverse<usize>)>> = BTreeMap::new();
        let mut add = |index: usize| {
            let offer = &self.offers[index];
            if key.iter().all(|rule| allows(rule, &offer.attributes)) {
                let values = spread.iter().map(|key| offer.attributes.get(*key).cloned()).collect();
                groups.entry(values).or_default().push((offer.room(), Reverse(index)));
            }
        };
        match self.shortest_list(key) {
            Some(list) => list.iter().copied().for_each(&mut add),
            None => (0..self.offers.len()).for_each(&mut add),
        }
        let groups = groups.into_iter().map(|(values, offers)| Group { values, heap: offers.into() });
        Pool { groups: groups.collect(), hopeless: Vec::new() }
    }

    /// The fewest offers that some `Is` filter leaves; none without such a filter.
    fn shortest_list(&self, filters: &[Constraint]) -> Option<&[usize]> {
        let lists = filters.iter().filter_map(|filter| match filter {
            Constraint::Is { key, value } => {
                Some(self.by_attribute.get(key).and_then(|by_value| by_value.get(value)))
            }
            Constraint::IsNot { .. } | Constraint::Unique { .. } | Constraint::Spread { .. } => None,
        });
        lists.map(|list| list.map_or(&[][..], Vec::as_slice)).min_by_key(|list| list.len())
    }
}

fn spread_key(constraint: &Constraint) -> Option<&str> {
    match constraint {
        Constraint::Spread { key } => Some(key),
        Constraint::Is { .. } | Constraint::IsNot { .. } | Constraint::Unique { .. } => None,
    }
}

/// An offer with instances of the service: how many, its room, its index.
type Shared = (u32, Reverse<u64>, usize);

/// The search for the instances of one service through its pool.
struct Search<'a, 'r> {
    pool: &'a mut Pool,
    need: &'r Need,
    census: Census<'r>,
    /// Groups that may have a place, the least crowded first. Crowds only grow, so an entry that is out of date is
    /// weighed again when it comes up.
    order: BinaryHeap<Reverse<(Crowding, usize)>>,
    /// Offers of each group that have instances of the service: the fewest first, then the most free.
    aside: BTreeMap<usize, BinaryHeap<Reverse<Shared>>>,
    /// Offers that are of no use to this service, with their group.
    unfit: Vec<(usize, usize)>,
}

impl<'a, 'r> Search<'a, 'r> {
    fn new(pool: &'a mut Pool, request: &Request<'r>) -> Self {
        let census = Census::of(request);
        let groups = pool.groups.iter().enumerate();
        let order = groups.map(|(group, known)| Reverse((census.crowding(&known.values), group))).collect();
        Self { pool, need: request.need, census, order, aside: BTreeMap::new(), unfit: Vec::new() }
    }

    /// The best offer for one more instance, with its group.
    fn next(&mut self, offers: &[OpenOffer]) -> Option<(usize, usize)> {
        while let Some(Reverse((crowding, group))) = self.order.pop() {
            let now = self.census.crowding(&self.pool.groups[group].values);
            if now > crowding {
                self.order.push(Reverse((now, group)));
                continue;
            }
            // A group without a place now will have none later in this round: it is not looked at again.
            if let Some(index) = self.next_empty(offers, group).or_else(|| self.next_shared(offers, group)) {
                self.order.push(Reverse((now, group)));
                return Some((group, index));
            }
        }
        None
    }

    /// The most free offer of the group that has no instance of the service.
    fn next_empty(&mut self, offers: &[OpenOffer], group: usize) -> Option<usize> {
        while let Some((room, Reverse(index))) = self.pool.groups[group].heap.pop() {
            let offer = &offers[index];
            if offer.room() < room {
                self.pool.groups[group].heap.push((offer.room(), Reverse(index)));
            } else if !self.takes(offer) {
                self.unfit.push((group, index));
            } else {
                match self.census.on_agent(&offer.agent) {
                    0 => return Some(index),
                    others => self.set_aside(offer, others, group, index),
                }
            }
        }
        None
    }

    /// The offer of the group that has the fewest instances of the service.
    fn next_shared(&mut self, offers: &[OpenOffer], group: usize) -> Option<usize> {
        while let Some(Reverse((_, _, index))) = self.aside.get_mut(&group)?.pop() {
            if self.takes(&offers[index]) {
                return Some(index);
            }
            self.unfit.push((group, index));
        }
        None
    }

    fn takes(&self, offer: &OpenOffer) -> bool {
        self.need.fits(&offer.free) && self.census.conflict(&offer.attributes).is_none()
    }

    fn set_aside(&mut self, offer: &OpenOffer, on_agent: u32, group: usize, index: usize) {
        let entry = (on_agent, Reverse(offer.room()), index);
        self.aside.entry(group).or_default().push(Reverse(entry));
    }

    /// Puts everything back for the next service.
    fn finish(self, offers: &[OpenOffer], is_short: bool) {
        // Room is what was missing, not a free value of a `unique:` key.
        if is_short && self.unfit.iter().all(|&(_, index)| !self.need.fits(&offers[index].free)) {
            self.pool.hopeless.push(self.need.clone());
        }
        let aside = self
            .aside
            .into_iter()
            .flat_map(|(group, heap)| heap.into_iter().map(move |Reverse((_, _, index))| (group, index)));
        for (group, index) in aside.chain(self.unfit) {
            self.pool.groups[group].heap.push((offers[index].room(), Reverse(index)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kogge_model::resources::{Bytes, CpuMillis};
    use proptest::prelude::*;

    use super::*;

    fn offer(number: u64, cpu: u64, zone: &str) -> Offer {
        let attributes = [("zone", zone.to_owned()), ("agent", format!("a{number}"))];
        Offer {
            id: OfferId(number),
            agent: AgentId::new(format!("a{number}")),
            attributes: Arc::new(attributes.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
            resources: Resources {
                cpu_millis: CpuMillis(cpu),
                mem_bytes: Bytes::gib(100),
                ..Resources::default()
            },
        }
    }

    fn need(cpu_millis: u64) -> Need {
        Need { cpu_millis, mem_bytes: 1, disk_bytes: 0, ports: Vec::new() }
    }

    fn place(table: &mut OfferTable, need: &Need, constraints: &[Constraint], count: usize) -> Vec<String> {
        let mut agents = Vec::new();
        let request = Request { need, constraints, taken: Vec::new() };
        let placed = table.place(&request, count, |offer| {
            offer.free.cpu_millis.0 -= need.cpu_millis;
            agents.push(offer.agent.to_string());
        });
        assert_eq!(placed, agents.len());
        agents
    }

    fn constraints(texts: &[&str]) -> Vec<Constraint> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn instances_go_apart_and_then_where_most_is_free() {
        let mut table =
            OfferTable::new(vec![offer(1, 3_000, "a"), offer(2, 9_000, "a"), offer(3, 5_000, "b")]);
        assert_eq!(place(&mut table, &need(1_000), &[], 5), ["a2", "a3", "a1", "a2", "a3"]);
    }

    #[test]
    fn filters_unique_and_spread_are_kept() {
        let offers: Vec<Offer> =
            [(1, "a"), (2, "a"), (3, "a"), (4, "b")].map(|(n, zone)| offer(n, 10_000 - n, zone)).into();
        let run = |texts: &[&str], count| {
            place(&mut OfferTable::new(offers.clone()), &need(1), &constraints(texts), count)
        };
        assert_eq!(run(&["zone=b"], 2), ["a4", "a4"]);
        assert_eq!(run(&["zone!=a", "agent!=a4"], 1), [""; 0]);
        assert_eq!(run(&["unique:zone"], 3), ["a1", "a4"]);
        assert_eq!(run(&["unique:rack"], 1), [""; 0], "no agent has such an attribute");
        assert_eq!(run(&["spread:zone"], 4), ["a1", "a4", "a2", "a4"]);
        assert_eq!(run(&["spread:zone", "zone=a"], 2), ["a1", "a2"]);
    }

    #[test]
    fn what_does_not_fit_is_asked_for_only_once_a_round() {
        let mut table = OfferTable::new(vec![offer(1, 1_000, "a")]);
        assert_eq!(place(&mut table, &need(2_000), &[], 1), [""; 0]);
        assert_eq!(table.pools[&Vec::new()].hopeless.len(), 1);
        assert_eq!(place(&mut table, &need(3_000), &[], 1), [""; 0]);
        assert_eq!(table.pools[&Vec::new()].hopeless.len(), 1);
        assert_eq!(place(&mut table, &need(1_000), &[], 1), ["a1"]);
    }

    proptest! {
        /// Against the plain search through all offers for each instance: the same number finds a place.
        #[test]
        fn nothing_that_fits_is_overlooked(
            offers in proptest::collection::vec((0u64..6, 0..3usize), 0..12),
            requests in proptest::collection::vec((1u64..5, 0..4usize, 1..6usize), 1..12),
        ) {
            let zones = ["a", "b", "c"];
            let offers: Vec<Offer> =
                offers.iter().zip(1u64..).map(|(&(cpu, zone), n)| offer(n, cpu, zones[zone])).collect();
            let mut table = OfferTable::new(offers.clone());
            let mut plain: Vec<(u64, String, String)> = offers
                .iter()
                .map(|offer| (offer.resources.cpu_millis.0, offer.attributes["zone"].clone(), offer.agent.to_string()))
                .collect();
            for (cpu, zone, count) in requests {
                let wanted = zones.get(zone).map(|zone| format!("zone={zone}"));
                let constraints = constraints(&wanted.as_deref().into_iter().collect::<Vec<_>>());
                let placed = place(&mut table, &need(cpu), &constraints, count);
                // The plain world follows the choice, and checks that each was allowed and that no place was left.
                for agent in &placed {
                    let entry = plain.iter_mut().find(|entry| entry.2 == *agent).unwrap();
                    prop_assert!(entry.0 >= cpu && zones.get(zone).is_none_or(|zone| entry.1 == *zone));
                    entry.0 -= cpu;
                }
                let fits = |entry: &&(u64, String, String)| {
                    entry.0 >= cpu && zones.get(zone).is_none_or(|zone| entry.1 == *zone)
                };
                let room: u64 = plain.iter().filter(fits).map(|entry| entry.0 / cpu).sum();
                prop_assert!(placed.len() == count || room == 0, "{} of {count} placed, room for {room}", placed.len());
                let agents: BTreeSet<&String> = placed.iter().collect();
                prop_assert!(agents.len() == placed.len() || room == 0 || plain.iter().filter(fits).all(|entry| agents.contains(&entry.2)), "two on one agent while another was free");
            }
        }
    }
}
