//! One service: what is wanted of it, and what is.

use std::collections::BTreeMap;
use std::sync::Arc;

use kogge_model::digest::Digest;
use kogge_model::name::ServiceId;
use kogge_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::deployment::Deployment;
use super::instance::{Instance, Phase};
use super::version::Version;

/// A service with everything that is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// What of it is kept in the store beside its instances.
    pub record: ServiceRecord,
    /// Its instances by number. Each is shared with the effects that save it.
    pub instances: BTreeMap<u32, Arc<Instance>>,
    /// When it wants to be looked at again.
    pub(crate) wakeup: Option<Timestamp>,
}

/// What is kept of a service beside its instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRecord {
    /// Which.
    pub service: ServiceId,
    /// What the tree wants.
    pub wanted: Wanted,
    /// The last version whose instances were all healthy: where a roll-back leads.
    pub last_good: Option<Version>,
    /// The deployment under way, or else the last one.
    pub deployment: Option<Deployment>,
}

impl ServiceRecord {
    /// The wanted version, and the one to go back to.
    pub fn versions(&self) -> impl Iterator<Item = &Version> {
        let wanted = match &self.wanted {
            Wanted::Version(version) => Some(version),
            Wanted::Removed => None,
        };
        wanted.into_iter().chain(&self.last_good)
    }
}

/// What the tree wants of a service.
///
/// ```text
///  Version ◀──▶ Version ──▶ Removed ──▶ forgotten, once no instance is left
///                  ▲            │
///                  └────────────┘
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// This.
    Version(Version),
    /// It is no longer in the tree; its instances have to go.
    Removed,
}

/// A count of instances by what matters to a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// How many are wished.
    pub wish: u32,
    /// Of the wanted version and not leaving.
    pub updated: u32,
    /// Of those, to be replaced by one elsewhere; while that one is on its way there is one more than wished.
    pub moving: u32,
    /// Of those, healthy.
    pub updated_healthy: u32,
    /// Of another version and not leaving.
    pub outdated: u32,
    /// Of those, healthy.
    pub outdated_healthy: u32,
    /// On their way out.
    pub leaving: u32,
}

impl Tally {
    /// Instances that count as capacity.
    #[must_use]
    pub const fn healthy(&self) -> u32 {
        self.updated_healthy + self.outdated_healthy
    }

    /// All there are, also those on their way out.
    #[must_use]
    pub const fn total(&self) -> u32 {
        self.updated + self.outdated + self.leaving
    }

    /// Whether everything is as wished.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.outdated == 0 && self.updated_healthy >= self.wish && self.updated - self.moving <= self.wish
    }
}

impl Service {
    pub(crate) const fn new(record: ServiceRecord) -> Self {
        Self { record, instances: BTreeMap::new(), wakeup: None }
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> &ServiceId {
        &self.record.service
    }

    /// The wanted version; none once it is removed.
    #[must_use]
    pub const fn version(&self) -> Option<&Version> {
        match &self.record.wanted {
            Wanted::Version(version) => Some(version),
            Wanted::Removed => None,
        }
    }

    /// How many instances should run now.
    #[must_use]
    pub fn wish(&self) -> u32 {
        self.version().map_or(0, |version| version.spec.wish())
    }

    /// One of its instances.
    #[must_use]
    pub fn instance(&self, number: u32) -> Option<&Instance> {
        self.instances.get(&number).map(Arc::as_ref)
    }

    pub(crate) fn instance_mut(&mut self, number: u32) -> Option<&mut Instance> {
        self.instances.get_mut(&number).map(Arc::make_mut)
    }

    /// The deployment under way, or else the last one.
    #[must_use]
    pub const fn deployment(&self) -> Option<&Deployment> {
        self.record.deployment.as_ref()
    }

    /// Whether instances of this digest are of the wanted version. Of a removed service, all are: they only leave.
    #[must_use]
    pub fn is_wanted(&self, digest: Digest) -> bool {
        self.version().is_none_or(|version| version.digest == digest)
    }

    /// Its instances counted.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut tally = Tally { wish: self.wish(), ..Tally::default() };
        for instance in self.instances.values() {
            let healthy = u32::from(instance.is_healthy());
            if instance.is_leaving() {
                tally.leaving += 1;
            } else if self.is_wanted(instance.version) {
                tally.updated += 1;
                tally.moving += u32::from(instance.moving().is_some());
                tally.updated_healthy += healthy;
            } else {
                tally.outdated += 1;
                tally.outdated_healthy += healthy;
            }
        }
        tally
    }

    /// The lowest numbers that no instance has.
    pub(crate) fn free_numbers(&self, count: u32) -> Vec<u32> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        (1..).filter(|number| !self.instances.contains_key(number)).take(count).collect()
    }

    /// Instances that wait for an offer.
    pub(crate) fn ready(&self) -> impl Iterator<Item = &Instance> {
        let instances = self.instances.values().map(Arc::as_ref);
        instances.filter(|instance| matches!(&instance.phase, Phase::Waiting(waiting) if waiting.is_ready))
    }
}
