//! Ordinary copies that were given up and may live on where nobody can end them.
//!
//! They know of no lease, so only their agent, or an operator who forgets it, can say that they are over. While one is
//! away no single copy of its service may live (G9).

use std::collections::{BTreeMap, BTreeSet};

use kogge_model::id::TaskId;
use kogge_model::name::ServiceId;

use crate::record::TaskRecord;

/// By service. As many as tasks on record are given up: none in peace.
#[derive(Debug, Clone, Default)]
pub(crate) struct AwayCopies(BTreeMap<ServiceId, BTreeSet<TaskId>>);

impl AwayCopies {
    /// Counts it if it was given up and lives on no lease.
    pub(crate) fn note(&mut self, record: &TaskRecord) {
        if let Some(service) = service_of(record) {
            self.0.entry(service.clone()).or_default().insert(record.spec.task.clone());
        }
    }

    /// Its record goes: it is over.
    pub(crate) fn forget(&mut self, record: &TaskRecord) {
        let Some(service) = service_of(record) else { return };
        let Some(copies) = self.0.get_mut(service) else { return };
        copies.remove(&record.spec.task);
        if copies.is_empty() {
            self.0.remove(service);
        }
    }

    /// One of `service`, if there is any.
    pub(crate) fn first(&self, service: &ServiceId) -> Option<&TaskId> {
        self.0.get(service)?.first()
    }
}

/// Whose copy a record of this kind is.
fn service_of(record: &TaskRecord) -> Option<&ServiceId> {
    let is_away = record.is_given_up() && record.spec.template.lease().is_none();
    record.spec.instance.as_ref().filter(|_| is_away).map(|instance| &instance.service)
}
