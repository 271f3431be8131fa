//! Following: services that are only looked at go on with the records of those that decide.

use std::collections::BTreeSet;
use std::sync::Arc;

use kogge_model::name::{InstanceId, ServiceId};

use crate::services::{Records, RestoreError, Services, newest_revision};
use crate::state::{Instance, Service, ServiceRecord};

/// What became of records since they were last read; each is named once.
#[derive(Debug, Clone, Default)]
pub struct RecordChanges {
    /// As they are now.
    pub saved: Records,
    /// Services without a record now.
    pub forgotten_services: Vec<ServiceId>,
    /// Instances without a record now.
    pub forgotten_instances: Vec<InstanceId>,
}

impl Services {
    /// Goes on to what the records are now, at the cost of what changed. What can be seen is what the records tell;
    /// nobody may decide with it: nothing is noted as due.
    ///
    /// # Errors
    /// When an instance is on record and its service is not; all must then be restored from all records.
    pub fn follow(&mut self, changes: RecordChanges) -> Result<(), RestoreError> {
        let RecordChanges { saved, forgotten_services, forgotten_instances } = changes;
        for id in &forgotten_instances {
            self.take_out(id);
        }
        for record in saved.services {
            self.follow_service(record);
        }
        for id in &forgotten_services {
            if let Some(gone) = self.services.remove(id)
                && let Some(left) = gone.instances.into_values().next()
            {
                return Err(RestoreError::ServiceMissing(left.id.clone()));
            }
        }
        for instance in saved.instances {
            self.take_out(&instance.id);
            self.restore_instance(instance)?;
        }
        self.unsettled = BTreeSet::new();
        Ok(())
    }

    /// The records that they follow, for [`Services::restore`]: whoever decides from now on begins with services of his
    /// own.
    #[must_use]
    pub fn into_records(self) -> Records {
        let mut records = Records::default();
        for service in self.services.into_values() {
            records.services.push(service.record);
            records.instances.extend(service.instances.into_values().map(Arc::unwrap_or_clone));
        }
        records
    }

    fn follow_service(&mut self, record: ServiceRecord) {
        self.revision = self.revision.max(newest_revision(&record));
        match self.services.get_mut(&record.service) {
            Some(known) => known.record = record,
            None => drop(self.services.insert(record.service.clone(), Service::new(record))),
        }
    }

    fn take_out(&mut self, id: &InstanceId) {
        let service = self.services.get_mut(&id.service);
        let gone = service.and_then(|service| service.instances.remove(&id.number));
        if let Some(attempt) = gone.as_ref().and_then(|instance| instance.attempt()) {
            self.tasks.remove(&attempt.task);
        }
    }

    pub(crate) fn restore_instance(&mut self, instance: Instance) -> Result<(), RestoreError> {
        let Some(service) = self.services.get_mut(&instance.id.service) else {
            return Err(RestoreError::ServiceMissing(instance.id));
        };
        if let Some(attempt) = instance.attempt() {
            self.tasks.insert(attempt.task.clone(), instance.id.clone());
        }
        service.instances.insert(instance.number(), Arc::new(instance));
        Ok(())
    }
}
