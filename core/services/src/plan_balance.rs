//! Which instance of a service had better be elsewhere: a puzzle of counts.
//!
//! A place is as good as few of the same kind are near: by the values of the `spread:` keys in their order, then on
//! the agent itself. An instance moves only to a place that is better than its own would be without it, so each move
//! makes the crowd more even, none can be undone by another, and there is an end to them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use kogge_model::attribute::{Attributes, Constraint};
use kogge_model::id::AgentId;

use crate::placement::{Census, Crowding, NOTHING, Need, OpenOffer, Request, allows};

/// Agents whose instances are tried, the most crowded first.
const CANDIDATES: usize = 8;

/// An instance that stands somewhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'a> {
    pub(crate) number: u32,
    pub(crate) agent: &'a AgentId,
    pub(crate) attributes: &'a Arc<Attributes>,
}

/// One move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// Which instance.
    pub(crate) number: u32,
    /// The index of the offer that has a better place.
    pub(crate) offer: usize,
    /// What is better there.
    pub(crate) reason: String,
}

/// How crowded a place is; the first that differs counts.
type Crowd = (Crowding, u32);

/// Whether any two of them share an agent or a value of a `spread:` key, so that a better place is thinkable.
pub(crate) fn is_crowded(constraints: &[Constraint], members: &[Member<'_>]) -> bool {
    let census = census(constraints, members, None);
    let keys = spread_keys(constraints);
    members.iter().any(|member| {
        let (crowding, on_agent) = crowd(&census, &keys, member.agent, member.attributes);
        on_agent > 1 || crowding.iter().any(|count| *count > 1)
    })
}

/// The move that is most worth it, if one is.
pub(crate) fn plan_balance(
    need: &Need,
    constraints: &[Constraint],
    members: &[Member<'_>],
    offers: &[OpenOffer],
) -> Option<Step> {
    let all = census(constraints, members, None);
    let keys = spread_keys(constraints);
    // One of each agent will do, the newest: they are all alike.
    let by_agent: BTreeMap<&AgentId, Member<'_>> =
        members.iter().map(|member| (member.agent, *member)).collect();
    let mut candidates: Vec<Member<'_>> = by_agent.into_values().collect();
    candidates.sort_by_key(|member| Reverse(crowd(&all, &keys, member.agent, member.attributes)));
    candidates.into_iter().take(CANDIDATES).find_map(|member| {
        let rest = census(constraints, members, Some(member.number));
        let here = crowd(&rest, &keys, member.agent, member.attributes);
        let suits = |offer: &&(usize, &OpenOffer)| {
            let (_, offer) = offer;
            offer.agent != *member.agent
                && need.fits(&offer.free)
                && constraints.iter().all(|rule| allows(rule, &offer.attributes))
                && rest.conflict(&offer.attributes).is_none()
        };
        let offers: Vec<(usize, &OpenOffer)> = offers.iter().enumerate().collect();
        let best = offers.iter().filter(suits).min_by_key(|(index, offer)| {
            (crowd(&rest, &keys, &offer.agent, &offer.attributes), Reverse(offer.room()), *index)
        });
        let (index, offer) = *best?;
        let there = crowd(&rest, &keys, &offer.agent, &offer.attributes);
        (there < here).then(|| Step {
            number: member.number,
            offer: index,
            reason: what_is_better(&keys, member, offer, &here, &there),
        })
    })
}

fn census<'a>(constraints: &'a [Constraint], members: &[Member<'a>], without: Option<u32>) -> Census<'a> {
    let staying = members.iter().filter(|member| Some(member.number) != without);
    let taken = staying.map(|member| (member.agent, member.attributes)).collect();
    // What an instance takes does not matter for where the others are.
    Census::of(&Request { need: &NOTHING, constraints, taken })
}

fn spread_keys(constraints: &[Constraint]) -> Vec<&str> {
    let keys = constraints.iter().filter_map(|constraint| match constraint {
        Constraint::Spread { key } => Some(key.as_str()),
        Constraint::Is { .. } | Constraint::IsNot { .. } | Constraint::Unique { .. } => None,
    });
    keys.collect()
}

fn crowd(census: &Census<'_>, keys: &[&str], agent: &AgentId, attributes: &Attributes) -> Crowd {
    let values: Vec<Option<String>> = keys.iter().map(|key| attributes.get(*key).cloned()).collect();
    (census.crowding(&values), census.on_agent(agent))
}

/// `zone b has 1 of its instances, zone a has 3`.
fn what_is_better(
    keys: &[&str],
    member: Member<'_>,
    offer: &OpenOffer,
    here: &Crowd,
    there: &Crowd,
) -> String {
    let differs = keys.iter().zip(here.0.iter().zip(&there.0)).find(|(_, (here, there))| here != there);
    match differs {
        Some((key, (here, there))) => {
            let new = offer.attributes.get(*key).map_or("?", String::as_str);
            match member.attributes.get(*key) {
                Some(old) => {
                    format!(
                        "{key} {new} has {there} of its instances, {key} {old} has {}",
                        here.saturating_add(1)
                    )
                }
                None => format!("{key} {new} has {there} of its instances, and its agent has no {key}"),
            }
        }
        None => format!(
            "agent {} has {} of its instances, agent {} has {}",
            offer.agent,
            there.1,
            member.agent,
            here.1 + 1
        ),
    }
}

#[cfg(test)]
mod tests {
    use kogge_model::id::OfferId;
    use kogge_model::resources::{Bytes, CpuMillis, Resources};
    use proptest::prelude::*;

    use super::*;

    fn attributes(agent: u32, zone: &str) -> Arc<Attributes> {
        let mut all = Attributes::from([("agent".to_owned(), format!("a{agent}"))]);
        if !zone.is_empty() {
            all.insert("zone".to_owned(), zone.to_owned());
        }
        Arc::new(all)
    }

    /// `a1/zone` for each agent with free room for so many.
    fn offers(all: &[(u32, &str, u64)]) -> Vec<OpenOffer> {
        let open = |&(agent, zone, room): &(u32, &str, u64)| {
            let free =
                Resources { cpu_millis: CpuMillis(room), mem_bytes: Bytes::gib(64), ..Resources::default() };
            OpenOffer::new(
                OfferId(u64::from(agent)),
                AgentId::new(format!("a{agent}")),
                attributes(agent, zone),
                free,
            )
        };
        all.iter().map(open).collect()
    }

    fn check(texts: &[&str], places: &[(u32, &str)], offered: &[(u32, &str, u64)], expected: &str) {
        let constraints: Vec<Constraint> = texts.iter().map(|text| text.parse().unwrap()).collect();
        let places: Vec<(AgentId, Arc<Attributes>)> = places
            .iter()
            .map(|(agent, zone)| (AgentId::new(format!("a{agent}")), attributes(*agent, zone)))
            .collect();
        let members: Vec<Member<'_>> = places
            .iter()
            .zip(1..)
            .map(|((agent, attributes), number)| Member { number, agent, attributes })
            .collect();
        let need = Need { cpu_millis: 1, ..NOTHING.clone() };
        let offers = offers(offered);
        let step = plan_balance(&need, &constraints, &members, &offers);
        let told = step.map_or("-".to_owned(), |step| {
            format!("{} to {}: {}", step.number, offers[step.offer].agent, step.reason)
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn the_table_of_cases() {
        check(
            &[],
            &[(1, ""), (1, "")],
            &[(2, "", 9)],
            "2 to a2: agent a2 has 0 of its instances, agent a1 has 2",
        );
        check(&[], &[(1, ""), (2, "")], &[(3, "", 9)], "-");
        check(&[], &[(1, ""), (1, ""), (2, "")], &[(2, "", 9)], "-");
        check(&[], &[(1, ""), (1, "")], &[(2, "", 0)], "-");
        check(&["zone=a"], &[(1, "a"), (1, "a")], &[(2, "b", 9)], "-");
        let crowded = [(1, "a"), (2, "a"), (3, "a"), (4, "b")];
        check(
            &["spread:zone"],
            &crowded,
            &[(5, "b", 9)],
            "1 to a5: zone b has 1 of its instances, zone a has 3",
        );
        check(&["spread:zone"], &crowded[1..], &[(5, "b", 9)], "-");
        check(
            &["spread:zone"],
            &[(1, ""), (4, "b")],
            &[(5, "b", 9)],
            "1 to a5: zone b has 1 of its instances, and its agent has no zone",
        );
        check(&["unique:agent"], &[(1, "a"), (2, "a")], &[(2, "a", 9), (3, "b", 9)], "-");
        // Zones are even enough; within one of them agents are not.
        let uneven = [(1, "a"), (2, "a"), (3, "a"), (4, "b"), (4, "b")];
        check(
            &["spread:zone"],
            &uneven,
            &[(5, "b", 9)],
            "5 to a5: agent a5 has 0 of its instances, agent a4 has 2",
        );
    }

    proptest! {
        /// However many agents come with however much room: moves come to an end, and then nothing is far from even.
        #[test]
        fn moves_end_and_leave_no_agent_with_two_more_than_another(
            places in proptest::collection::vec(0u32..6, 1..24),
            zones in proptest::collection::vec(0usize..3, 6),
            is_spread in any::<bool>(),
        ) {
            let zone = |agent: u32| ["a", "b", "c"][zones[agent as usize]];
            let constraints: Vec<Constraint> =
                if is_spread { vec!["spread:zone".parse().unwrap()] } else { vec![] };
            let agents: Vec<(AgentId, Arc<Attributes>)> =
                (0..6).map(|n| (AgentId::new(format!("a{n}")), attributes(n, zone(n)))).collect();
            let offered: Vec<(u32, &str, u64)> = (0..6).map(|n| (n, zone(n), 9)).collect();
            let offers = offers(&offered);
            let mut places = places;
            let need = Need { cpu_millis: 1, ..NOTHING.clone() };
            for moves in 0.. {
                prop_assert!(moves < 200, "moves never end");
                let members: Vec<Member<'_>> = places.iter().zip(1..).map(|(place, number)| {
                    let (agent, attributes) = &agents[*place as usize];
                    Member { number, agent, attributes }
                }).collect();
                let Some(step) = plan_balance(&need, &constraints, &members, &offers) else { break };
                prop_assert!(is_crowded(&constraints, &members));
                places[step.number as usize - 1] = u32::try_from(step.offer).unwrap();
            }
            let count = |agent: u32| places.iter().filter(|place| **place == agent).count();
            for one in 0..6 {
                for other in (0..6).filter(|other| !is_spread || zone(*other) == zone(one)) {
                    prop_assert!(count(one) < count(other) + 2, "{places:?} {zones:?}");
                }
            }
        }
    }
}
