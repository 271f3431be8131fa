//! What instances of one service ask of an offer.

use std::sync::Arc;

use kogge_model::attribute::{Attributes, Constraint};
use kogge_model::id::AgentId;
use kogge_model::port::Port;
use kogge_model::resources::Resources;
use kogge_model::template::TaskTemplate;

/// What one instance takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) cpu_millis: u64,
    pub(crate) mem_bytes: u64,
    pub(crate) disk_bytes: u64,
    /// One for each port; a number where it must be that one.
    pub(crate) ports: Vec<Option<Port>>,
}

/// An instance that takes nothing.
pub(crate) static NOTHING: Need = Need { cpu_millis: 0, mem_bytes: 0, disk_bytes: 0, ports: Vec::new() };

/// Where instances of one service may go, and where others of it are already.
#[derive(Debug, Clone)]
pub(crate) struct Request<'a> {
    pub(crate) need: &'a Need,
    pub(crate) constraints: &'a [Constraint],
    /// Agents that have instances of the service, once for each.
    pub(crate) taken: Vec<(&'a AgentId, &'a Arc<Attributes>)>,
}

impl Need {
    pub(crate) fn of(template: &TaskTemplate) -> Self {
        let limits = &template.limits;
        Self {
            cpu_millis: limits.cpu_millis.0,
            mem_bytes: limits.mem_bytes.0,
            disk_bytes: limits.disk_bytes.0,
            ports: template.ports.iter().map(|port| port.host_port).collect(),
        }
    }

    pub(crate) fn fits(&self, free: &Resources) -> bool {
        self.cpu_millis <= free.cpu_millis.0
            && self.mem_bytes <= free.mem_bytes.0
            && self.disk_bytes <= free.disk_bytes.0
            && (self.ports.is_empty() || self.ports_fit(free))
    }

    pub(crate) fn ports_fit(&self, free: &Resources) -> bool {
        let wanted = u32::try_from(self.ports.len()).unwrap_or(u32::MAX);
        wanted <= free.ports.len() && self.fixed_ports().all(|port| free.ports.contains(port))
    }

    pub(crate) fn fixed_ports(&self) -> impl Iterator<Item = Port> + '_ {
        self.ports.iter().copied().flatten()
    }

    /// Whether whatever has no room for `other` has none for this either.
    pub(crate) fn is_at_least(&self, other: &Self) -> bool {
        self.cpu_millis >= other.cpu_millis
            && self.mem_bytes >= other.mem_bytes
            && self.disk_bytes >= other.disk_bytes
            && self.ports.len() >= other.ports.len()
            && other.fixed_ports().all(|port| self.ports.contains(&Some(port)))
    }
}

/// What decides which offers a request may take, and in which groups: requests with the same share a pool.
pub(crate) fn pool_key(constraints: &[Constraint]) -> Vec<Constraint> {
    let (mut filters, mut spread) = (Vec::new(), Vec::new());
    for constraint in constraints {
        match constraint {
            Constraint::Is { .. } | Constraint::IsNot { .. } => filters.push(constraint.clone()),
            Constraint::Spread { .. } => spread.push(constraint.clone()),
            // Depends on where the service's other instances are: looked at offer by offer.
            Constraint::Unique { .. } => {}
        }
    }
    filters.sort();
    filters.dedup();
    // The order of these matters: the first is spread over before the second.
    filters.extend(spread);
    filters
}

/// Whether an agent with these attributes may take the instance, whatever else is on it.
pub(crate) fn allows(constraint: &Constraint, attributes: &Attributes) -> bool {
    match constraint {
        Constraint::Is { key, value } => attributes.get(key) == Some(value),
        Constraint::IsNot { key, value } => attributes.get(key) != Some(value),
        Constraint::Unique { .. } | Constraint::Spread { .. } => true,
    }
}
