//! Which instances' records are to be saved or forgotten before an input is done with.

use std::collections::{BTreeMap, BTreeSet};

use kogge_model::name::{InstanceId, ServiceId};

/// By service, so that the many instances of one are told apart by their numbers alone.
#[derive(Debug, Clone, Default)]
pub(crate) struct TouchedInstances(BTreeMap<ServiceId, BTreeSet<u32>>);

impl TouchedInstances {
    pub(crate) fn insert(&mut self, id: &InstanceId) {
        self.insert_all(&id.service, [id.number]);
    }

    /// These instances of one service.
    pub(crate) fn insert_all(&mut self, service: &ServiceId, numbers: impl IntoIterator<Item = u32>) {
        match self.0.get_mut(service) {
            Some(known) => known.extend(numbers),
            None => drop(self.0.insert(service.clone(), numbers.into_iter().collect())),
        }
    }

    /// In order; none is left.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = (ServiceId, BTreeSet<u32>)> + use<> {
        std::mem::take(&mut self.0).into_iter()
    }
}
