//! The state, the one door in, and what can be read from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kogge_model::id::{AgentId, RevisionId, TaskId};
use kogge_model::image::ImageRef;
use kogge_model::name::{InstanceId, ServiceId};
use kogge_model::reason::Reason;
use kogge_model::scheduler::{Call, Offer};
use kogge_model::time::Timestamp;
use thiserror::Error;

use crate::balance::Balance;
use crate::chance::Chance;
use crate::config::Config;
use crate::effect::{Effect, Effects};
use crate::explain::{Explanation, explain_instance, explain_service};
use crate::input::Input;
use crate::placement::{PortCursors, SeenAgent};
use crate::state::{DeploymentState, Instance, Service, ServiceRecord, Wanted};
use crate::touched::TouchedInstances;

/// All services of one cluster.
#[derive(Debug, Clone)]
pub struct Services {
    pub(crate) config: Config,
    pub(crate) chance: Chance,
    pub(crate) services: BTreeMap<ServiceId, Service>,
    /// Which instance a task is.
    pub(crate) tasks: BTreeMap<TaskId, InstanceId>,
    /// The newest revision that was heard of.
    pub(crate) revision: RevisionId,
    pub(crate) interest: Interest,
    /// There is new work, or new room for old work: refusals no longer stand.
    pub(crate) is_revival_due: bool,
    /// The kernel refused a call: what it was about is not known.
    pub(crate) is_unsure: bool,
    /// Until then there was more to say or to launch than was done at once: nobody had waited for an offer in vain.
    pub(crate) behind_until: Timestamp,
    /// Offers that came with this input.
    pub(crate) offers: Vec<Offer>,
    /// What each agent last offered; only ever used to explain.
    pub(crate) seen: BTreeMap<AgentId, SeenAgent>,
    pub(crate) ports: PortCursors,
    /// Services to settle before this input is done with.
    pub(crate) unsettled: BTreeSet<ServiceId>,
    /// Services with instances that wait for an offer.
    pub(crate) ready: BTreeSet<ServiceId>,
    /// Services with instances that no offer came for.
    pub(crate) unplaced: BTreeSet<ServiceId>,
    /// Agents that are to be left, once the kernel has said which.
    pub(crate) inverse: Option<BTreeMap<AgentId, Reason>>,
    /// Services of which something may go before its successor comes, once an offer has a place for that one.
    pub(crate) scouting: BTreeSet<ServiceId>,
    pub(crate) balance: Balance,
    pub(crate) timers: BTreeSet<(Timestamp, ServiceId)>,
    /// Records to save or to forget before this input is done with.
    pub(crate) touched_services: BTreeSet<ServiceId>,
    pub(crate) touched_instances: TouchedInstances,
}

/// How it stands with the kernel.
///
/// ```text
///  Unconnected ──▶ Subscribing ──▶ Wanting ◀──▶ Suppressed
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Nothing can be said to it.
    Unconnected,
    /// The subscription is not confirmed yet.
    Subscribing,
    /// Offers come.
    Wanting,
    /// No offers come.
    Suppressed,
}

/// What the store has.
#[derive(Debug, Clone, Default)]
pub struct Records {
    /// All of [`Effect::SaveService`].
    pub services: Vec<ServiceRecord>,
    /// All of [`Effect::SaveInstance`].
    pub instances: Vec<Instance>,
}

/// Why records cannot be continued.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RestoreError {
    /// Half of the records are missing; to go on would end what they tell of (G4).
    #[error("cannot restore services: instance {0} is on record, its service is not")]
    ServiceMissing(InstanceId),
}

impl Services {
    /// The services of a cluster that never had any. `seed` must be another one each time a process starts: task ids
    /// are drawn from it and are never used again.
    #[must_use]
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        Self {
            config,
            chance: Chance::new(seed),
            services: BTreeMap::new(),
            tasks: BTreeMap::new(),
            revision: RevisionId::default(),
            interest: Interest::Unconnected,
            is_revival_due: false,
            is_unsure: false,
            behind_until: Timestamp::ZERO,
            offers: Vec::new(),
            seen: BTreeMap::new(),
            ports: PortCursors::default(),
            unsettled: BTreeSet::new(),
            ready: BTreeSet::new(),
            unplaced: BTreeSet::new(),
            inverse: None,
            scouting: BTreeSet::new(),
            balance: Balance::default(),
            timers: BTreeSet::new(),
            touched_services: BTreeSet::new(),
            touched_instances: TouchedInstances::default(),
        }
    }

    /// The services as their records left them. Deployments get the time anew that passed while nobody led.
    ///
    /// # Errors
    /// When an instance's service is not on record.
    pub fn restore(
        now: Timestamp,
        config: Config,
        seed: [u8; 32],
        records: Records,
    ) -> Result<Self, RestoreError> {
        let mut services = Self::new(config, seed);
        for mut record in records.services {
            services.revision = services.revision.max(newest_revision(&record));
            if grant_time(&mut record, now) {
                services.touched_services.insert(record.service.clone());
            }
            services.unsettled.insert(record.service.clone());
            services.services.insert(record.service.clone(), Service::new(record));
        }
        for instance in records.instances {
            services.restore_instance(instance)?;
        }
        Ok(services)
    }

    /// Takes in one input and appends what follows from it, in the order of [`Effect::stage`].
    pub fn handle(&mut self, now: Timestamp, input: Input, effects: &mut Effects) {
        let from = effects.len();
        match input {
            Input::Connected => {
                self.interest = Interest::Subscribing;
                let (info, known) = (self.config.framework.clone(), self.known_updates());
                effects.push(Effect::Call(Call::Resume { info, known }));
            }
            Input::Desired { revision, change } => self.hear_desired(now, revision, change, effects),
            Input::FromKernel(event) => self.hear_event(now, event, effects),
            Input::Events(events) => {
                for event in events {
                    self.hear_event(now, event, effects);
                }
            }
            Input::Drained { task } => self.hear_drained(now, &task),
            Input::Tick => {}
        }
        self.ask_after_refusals(effects);
        self.wake_due(now);
        self.settle_all(now, effects);
        self.look_at_balance(now);
        self.serve_offers(now, effects);
        self.settle_all(now, effects);
        self.show_interest(effects);
        self.save_touched(effects);
        effects[from..].sort_by_key(Effect::stage);
    }

    /// Says that what the kernel told, or was told, has not all been heard yet: offers may be among it, so that who waits
    /// for one has not done so in vain.
    pub fn observe_backlog(&mut self, now: Timestamp) {
        self.behind_until = self.behind_until.max(now);
    }

    /// When [`Services::handle`] wants an [`Input::Tick`] at the latest.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at).into_iter().chain(self.balance.due()).min()
    }

    /// All services, also removed ones whose instances are not gone yet.
    pub fn iter(&self) -> impl Iterator<Item = &Service> {
        self.services.values()
    }

    /// One service.
    #[must_use]
    pub fn get(&self, id: &ServiceId) -> Option<&Service> {
        self.services.get(id)
    }

    /// The instance that a task is.
    #[must_use]
    pub fn instance_of(&self, task: &TaskId) -> Option<&Instance> {
        let id = self.tasks.get(task)?;
        self.services.get(&id.service)?.instance(id.number)
    }

    /// The newest revision that was heard of.
    #[must_use]
    pub const fn revision(&self) -> RevisionId {
        self.revision
    }

    /// Images that must be kept: wanted, running, or needed to go back (G21). May repeat.
    pub fn images(&self) -> impl Iterator<Item = &ImageRef> {
        self.services.values().flat_map(|service| {
            let versions = service.version().into_iter().chain(&service.record.last_good);
            let wanted = versions.map(|version| &version.template);
            let running = service.instances.values().map(|instance| &instance.template);
            wanted.chain(running).filter_map(|template| template.image.as_ref())
        })
    }

    /// Why a service is as it is; none if there is no such service.
    #[must_use]
    pub fn why(&self, id: &ServiceId, now: Timestamp) -> Option<Explanation> {
        let service = self.get(id)?;
        Some(explain_service(service, now, |instance| self.shortfall_of(service, instance)))
    }

    /// Why an instance is as it is; none if there is no such instance.
    #[must_use]
    pub fn why_instance(&self, id: &InstanceId, now: Timestamp) -> Option<Explanation> {
        let service = self.get(&id.service)?;
        let instance = service.instance(id.number)?;
        Some(explain_instance(service, instance, now, self.shortfall_of(service, instance).as_ref()))
    }

    fn shortfall_of(&self, service: &Service, instance: &Instance) -> Option<Reason> {
        match instance.moving() {
            Some(_) => crate::serve_offers::shortfall_of_moving(service, instance, &self.seen),
            None => crate::serve_offers::shortfall_of(service, instance, &self.seen),
        }
    }

    pub(crate) const fn is_subscribed(&self) -> bool {
        match self.interest {
            Interest::Unconnected | Interest::Subscribing => false,
            Interest::Wanting | Interest::Suppressed => true,
        }
    }

    fn wake_due(&mut self, now: Timestamp) {
        while let Some((at, _)) = self.timers.first()
            && *at <= now
        {
            let (_, id) = self.timers.pop_first().expect("the first timer was just seen");
            if let Some(service) = self.services.get_mut(&id) {
                service.wakeup = None;
            }
            self.unsettled.insert(id);
        }
    }

    /// Asks for offers while an instance waits for one, and for none otherwise.
    fn show_interest(&mut self, effects: &mut Effects) {
        if !self.is_subscribed() {
            return;
        }
        if self.ready.is_empty() && self.scouting.is_empty() && !self.balance.is_scouting {
            if self.interest == Interest::Wanting {
                self.interest = Interest::Suppressed;
                effects.push(Effect::Call(Call::Suppress));
            }
        } else if self.is_revival_due || self.interest == Interest::Suppressed {
            self.interest = Interest::Wanting;
            effects.push(Effect::Call(Call::Revive));
        }
        self.is_revival_due = false;
    }

    /// A service's record is there before those of its instances and goes after them: whatever part of this reaches
    /// a store, no instance is without its service.
    fn save_touched(&mut self, effects: &mut Effects) {
        let (kept, gone): (Vec<ServiceId>, Vec<ServiceId>) = std::mem::take(&mut self.touched_services)
            .into_iter()
            .partition(|id| self.services.contains_key(id));
        for id in kept {
            effects.push(Effect::SaveService(Box::new(self.services[&id].record.clone())));
        }
        for (id, numbers) in self.touched_instances.take() {
            let service = self.services.get(&id);
            effects.extend(numbers.into_iter().map(|number| {
                match service.and_then(|service| service.instances.get(&number)) {
                    Some(instance) => Effect::SaveInstance(Arc::clone(instance)),
                    None => Effect::ForgetInstance(InstanceId { service: id.clone(), number }),
                }
            }));
        }
        effects.extend(gone.into_iter().map(Effect::ForgetService));
    }
}

pub(crate) fn newest_revision(record: &ServiceRecord) -> RevisionId {
    let wanted = match &record.wanted {
        Wanted::Version(version) => version.revision,
        Wanted::Removed => RevisionId::default(),
    };
    wanted.max(record.deployment.as_ref().map_or(RevisionId::default(), |deployment| deployment.revision))
}

/// The time in which nobody led is not the deployment's fault (G8). Tells whether there is one under way.
fn grant_time(record: &mut ServiceRecord, now: Timestamp) -> bool {
    let Some(deployment) = record.deployment.as_mut().filter(|deployment| deployment.is_under_way()) else {
        return false;
    };
    deployment.progress.at = now;
    if let DeploymentState::RollingBack { asked_at, .. } = &mut deployment.state {
        // The wish to go back may have been lost with the process that had it.
        *asked_at = Timestamp::ZERO;
    }
    if let Wanted::Version(version) = &record.wanted {
        let least = now.plus(version.spec.upgrade.no_progress());
        deployment.deadline_at = deployment.deadline_at.max(least);
    }
    true
}
