//! What one agent has, what of it tasks hold, and what is offered: the books that keep it from over-commitment.

use std::collections::BTreeMap;

use kogge_model::port::{Port, PortSet};
use kogge_model::resources::Resources;

use crate::quantity::Quantities;

/// The books of one agent: total = held by tasks + offered + free, except when the agent came back with less than
/// its tasks hold; then nothing is free.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    total: Resources,
    held: Quantities,
    /// Two tasks can hold one port when one of them was given up or is unknown.
    held_ports: BTreeMap<Port, u32>,
    offered: Quantities,
    /// Neither held nor offered.
    free_ports: PortSet,
}

impl Ledger {
    pub(crate) fn new(total: Resources) -> Self {
        let free_ports = total.ports.clone();
        Self {
            total,
            held: Quantities::default(),
            held_ports: BTreeMap::new(),
            offered: Quantities::default(),
            free_ports,
        }
    }

    pub(crate) const fn total(&self) -> &Resources {
        &self.total
    }

    /// What tasks hold, without ports.
    pub(crate) const fn held(&self) -> Quantities {
        self.held
    }

    /// A task takes its resources; whether they were free is the caller's to know.
    pub(crate) fn hold(&mut self, resources: &Resources) {
        self.held.add(resources);
        for port in resources.ports.iter() {
            *self.held_ports.entry(port).or_insert(0) += 1;
            self.free_ports.remove(port);
        }
    }

    /// A task gives its resources back.
    pub(crate) fn release(&mut self, resources: &Resources) {
        self.held.sub(resources);
        for port in resources.ports.iter() {
            let count = self.held_ports.get_mut(&port).expect("a port that is given back was held");
            *count -= 1;
            if *count == 0 {
                self.held_ports.remove(&port);
                if self.total.ports.contains(port) {
                    self.free_ports.insert(port);
                }
            }
        }
    }

    /// Takes everything that is free as an offer.
    pub(crate) fn offer_rest(&mut self) -> Resources {
        assert!(!self.is_over_committed(), "an over-committed agent was offered");
        let mut rest = self.free();
        rest.ports = std::mem::take(&mut self.free_ports);
        self.offered.add(&rest);
        rest
    }

    /// An offer ends.
    pub(crate) fn take_back(&mut self, offer: Resources) {
        self.offered.sub(&offer);
        let mut ports = offer.ports;
        if ports.len() < self.free_ports.len() {
            std::mem::swap(&mut ports, &mut self.free_ports);
        }
        for port in std::mem::replace(&mut self.free_ports, ports).iter() {
            assert!(self.free_ports.insert(port), "port {port} was offered twice");
        }
    }

    /// The agent has `total` from now on. All offers must have been taken back before.
    pub(crate) fn resize(&mut self, total: Resources) {
        assert_eq!(self.offered, Quantities::default(), "an agent was resized under its offers");
        self.free_ports = total.ports.clone();
        for port in self.held_ports.keys() {
            self.free_ports.remove(*port);
        }
        self.total = total;
    }

    /// What is neither held nor offered, without the ports when the agent is over-committed.
    pub(crate) fn free(&self) -> Resources {
        if self.is_over_committed() {
            return Resources::default();
        }
        let mut taken = self.held;
        taken.cpu_millis.0 += self.offered.cpu_millis.0;
        taken.mem_bytes.0 += self.offered.mem_bytes.0;
        taken.disk_bytes.0 += self.offered.disk_bytes.0;
        let left = taken.left_of(&self.total);
        Resources {
            cpu_millis: left.cpu_millis,
            mem_bytes: left.mem_bytes,
            disk_bytes: left.disk_bytes,
            ports: self.free_ports.clone(),
        }
    }

    /// Whether tasks hold more than there is, or the same thing twice.
    pub(crate) fn is_over_committed(&self) -> bool {
        !self.held.fit(&self.total)
            || self.held_ports.iter().any(|(port, count)| *count > 1 || !self.total.ports.contains(*port))
    }
}

#[cfg(test)]
mod tests {
    use kogge_model::resources::{Bytes, CpuMillis};
    use proptest::prelude::*;

    use super::*;

    fn resources(cpu: u64, ports: &[u16]) -> Resources {
        Resources {
            cpu_millis: CpuMillis(cpu),
            mem_bytes: Bytes(cpu),
            disk_bytes: Bytes(0),
            ports: ports.iter().filter_map(|&number| Port::new(number)).collect(),
        }
    }

    #[test]
    fn an_agent_that_shrank_under_its_tasks_has_nothing_free() {
        let mut ledger = Ledger::new(resources(1_000, &[1, 2, 3]));
        ledger.hold(&resources(600, &[1]));
        ledger.resize(resources(500, &[1, 2, 3]));
        assert!(ledger.is_over_committed() && ledger.free().is_empty());
        ledger.release(&resources(600, &[1]));
        assert_eq!(ledger.free(), resources(500, &[1, 2, 3]));
    }

    #[test]
    fn a_port_held_twice_is_free_after_both_let_go() {
        let mut ledger = Ledger::new(resources(1_000, &[7]));
        ledger.hold(&resources(1, &[7]));
        ledger.hold(&resources(1, &[7]));
        assert!(ledger.is_over_committed());
        ledger.release(&resources(1, &[7]));
        assert!(!ledger.is_over_committed() && ledger.free().ports.is_empty());
        ledger.release(&resources(1, &[7]));
        assert_eq!(ledger.free().ports.len(), 1);
    }

    proptest! {
        #[test]
        fn nothing_is_made_or_lost(steps in proptest::collection::vec((0u8..4, 1u64..400, 1u16..12), 0..80)) {
            let total = resources(1_000, &[1, 2, 3, 4, 5, 6, 7, 8]);
            let mut ledger = Ledger::new(total.clone());
            let (mut tasks, mut offers) = (Vec::new(), Vec::new());
            for (kind, cpu, port) in steps {
                let task = resources(cpu, &[port]);
                match kind {
                    0 => offers.push(ledger.offer_rest()),
                    1 => if let Some(offer) = offers.pop() { ledger.take_back(offer) },
                    2 if ledger.free().contains(&task) => { ledger.hold(&task); tasks.push(task); }
                    _ => if let Some(task) = tasks.pop() { ledger.release(&task) },
                }
                let mut sum = ledger.free();
                for part in tasks.iter().chain(&offers) { sum.give_back(part); }
                prop_assert_eq!(&sum, &total);
            }
        }
    }
}
