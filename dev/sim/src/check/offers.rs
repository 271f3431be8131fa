//! An offer is used once, by whom it was made to, and carries no more than it holds.

use std::collections::{BTreeMap, BTreeSet};

use kogge_kernel as kernel;
use kogge_model::id::{OfferId, RunId, TaskId};
use kogge_model::link::ToAgent;
use kogge_model::resources::Resources;
use kogge_model::scheduler::{Call, Event};
use kogge_model::task::TaskSpec;

/// What became of offers.
#[derive(Debug, Clone, Default)]
pub(super) struct Offers {
    open: BTreeMap<OfferId, Resources>,
    used: BTreeSet<OfferId>,
    /// Runs that were launched.
    launched: BTreeMap<RunId, TaskId>,
}

impl Offers {
    /// A server takes over: what was decided and not committed never was, and open offers are void.
    pub(super) fn restart<'a>(&mut self, kept: impl Iterator<Item = &'a kernel::TaskRecord>) {
        self.open.clear();
        self.launched = kept.map(|record| (record.status.run, record.spec.task.clone())).collect();
    }

    pub(super) fn after(&mut self, input: &kernel::Input, effects: &[kernel::Effect]) -> Result<(), String> {
        let fresh = self.fresh_launches(effects)?;
        if let kernel::Input::FromFramework { call: Call::Accept { offers, launches, .. }, .. } = input {
            let is_asked_for = |task: &TaskId| launches.iter().any(|spec| spec.task == *task);
            if let Some((_, spec)) = fresh.iter().find(|(_, spec)| !is_asked_for(&spec.task)) {
                return Err(format!("offers: task {} was launched and not asked for", spec.task));
            }
            if !fresh.is_empty() {
                self.accepted(offers, &fresh)?;
            }
        } else if let Some((_, spec)) = fresh.first() {
            return Err(format!("offers: task {} was launched without an accepted offer", spec.task));
        }
        if let kernel::Input::FromFramework { call: Call::Decline { offers, .. }, .. } = input {
            self.open.retain(|offer, _| !offers.contains(offer));
        }
        self.made_and_rescinded(effects)
    }

    /// Launches that are not repeats of earlier ones.
    fn fresh_launches<'a>(
        &mut self,
        effects: &'a [kernel::Effect],
    ) -> Result<Vec<(RunId, &'a TaskSpec)>, String> {
        let mut fresh = vec![];
        for effect in effects {
            let kernel::Effect::ToAgent { message: ToAgent::Launch { run, spec }, .. } = effect else {
                continue;
            };
            match self.launched.get(run) {
                None => {
                    self.launched.insert(*run, spec.task.clone());
                    fresh.push((*run, spec.as_ref()));
                }
                Some(task) if *task == spec.task => {}
                Some(task) => return Err(format!("copies: run {run} is of {task} and of {}", spec.task)),
            }
        }
        Ok(fresh)
    }

    fn accepted(&mut self, offers: &[OfferId], fresh: &[(RunId, &TaskSpec)]) -> Result<(), String> {
        let mut left: Option<Resources> = None;
        for offer in offers {
            if !self.used.insert(*offer) {
                return Err(format!("offers: offer {offer} was used twice"));
            }
            let Some(resources) = self.open.remove(offer) else {
                return Err(format!("offers: offer {offer} was used though it was not open"));
            };
            match &mut left {
                None => left = Some(resources),
                Some(sum) => sum.give_back(&resources),
            }
        }
        let mut left = left.unwrap_or_default();
        for (_, spec) in fresh {
            if !left.contains(&spec.resources) {
                return Err(format!(
                    "offers: task {} does not fit into the offers it was launched on",
                    spec.task
                ));
            }
            left.take(&spec.resources);
        }
        Ok(())
    }

    fn made_and_rescinded(&mut self, effects: &[kernel::Effect]) -> Result<(), String> {
        for effect in effects {
            let kernel::Effect::ToFramework { event, .. } = effect else { continue };
            match event {
                Event::Offers(offers) => {
                    for offer in offers {
                        let is_known = self.used.contains(&offer.id)
                            || self.open.insert(offer.id, offer.resources.clone()).is_some();
                        if is_known {
                            return Err(format!("offers: offer {} was made twice", offer.id));
                        }
                    }
                }
                Event::Rescind(offers) => self.open.retain(|offer, _| !offers.contains(offer)),
                _ => {}
            }
        }
        Ok(())
    }
}
