//! Host ports out of an offer. A port that was just freed is not given out again at once: whoever still talks to
//! its last owner must not reach somebody else.

use std::collections::BTreeMap;

use kogge_model::id::AgentId;
use kogge_model::port::{Port, PortSet};

use crate::chance::Chance;

/// Where to go on looking, for each agent: behind the port that was taken last.
#[derive(Debug, Clone, Default)]
pub(crate) struct PortCursors(BTreeMap<AgentId, u16>);

impl PortCursors {
    /// Takes one free port for each of `wanted`, the fixed ones as they are. `cursor` is for this agent while its
    /// offer is filled; [`PortCursors::keep`] has to be told of it afterwards.
    ///
    /// # Panics
    /// When `free` has not enough; whoever calls has checked that.
    pub(crate) fn take(
        &self,
        agent: &AgentId,
        cursor: &mut Option<u16>,
        wanted: &[Option<Port>],
        free: &mut PortSet,
        chance: &mut Chance,
    ) -> Vec<Port> {
        if wanted.is_empty() {
            return Vec::new();
        }
        for port in wanted.iter().flatten() {
            assert!(free.remove(*port), "fixed port {port} is taken only where it is free");
        }
        let cursor = cursor.get_or_insert_with(|| {
            self.0.get(agent).copied().unwrap_or_else(|| chance.port_of(free).map_or(0, Port::get))
        });
        let ports = wanted.iter().map(|fixed| {
            fixed.unwrap_or_else(|| {
                let port = next_free(free, *cursor).expect("as many ports are free as are wanted");
                free.remove(port);
                *cursor = port.get().wrapping_add(1);
                port
            })
        });
        ports.collect()
    }

    pub(crate) fn keep(&mut self, agent: &AgentId, cursor: u16) {
        self.0.insert(agent.clone(), cursor);
    }

    pub(crate) fn forget(&mut self, agent: &AgentId) {
        self.0.remove(agent);
    }
}

/// The first free port from `cursor` on, and from the lowest one on where the numbers end.
fn next_free(free: &PortSet, cursor: u16) -> Option<Port> {
    free.first_from(cursor).or_else(|| free.first_from(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(number: u16) -> Port {
        Port::new(number).unwrap()
    }

    #[test]
    fn a_freed_port_waits_until_all_others_had_their_turn() {
        let (agent, mut chance) = (AgentId::new("a"), Chance::new([0; 32]));
        let mut cursors = PortCursors::default();
        let mut free = PortSet::range(port(31_000), port(31_009));
        let mut seen = Vec::new();
        for _ in 0..10 {
            let mut cursor = None;
            let [taken] = cursors.take(&agent, &mut cursor, &[None], &mut free, &mut chance)[..] else {
                panic!("one port")
            };
            cursors.keep(&agent, cursor.unwrap());
            seen.push(taken);
            free.insert(taken);
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 10);
    }

    #[test]
    fn fixed_ports_are_taken_as_they_are() {
        let mut free = PortSet::range(port(31_000), port(31_002));
        let wanted = [None, Some(port(31_001)), None];
        let (cursors, agent) = (PortCursors::default(), AgentId::new("a"));
        let taken = cursors.take(&agent, &mut None, &wanted, &mut free, &mut Chance::new([0; 32]));
        assert_eq!(taken[1], port(31_001));
        assert!(free.is_empty() && taken[0] != taken[2]);
    }
}
