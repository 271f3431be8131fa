//! Makes one service as it should be, as far as that is in our hands: plans, and does what the plans say, until
//! they say nothing more.

use std::sync::Arc;
use std::time::Duration;

use kogge_model::name::InstanceId;
use kogge_model::reason::Reason;
use kogge_model::time::Timestamp;

use crate::effect::Effects;
use crate::plan_instances::{Kind, Member, Plan, Puzzle, Standing, Stay, StopCause, plan_instances};
use crate::plan_repair::{Repair, plan_repair};
use crate::reporting::{announce_gone, announce_instance, decided};
use crate::services::Services;
use crate::state::{AfterKill, Deployment, Instance, Phase, Service, Waiting, Wanted};
use crate::touched::TouchedInstances;

impl Services {
    pub(crate) fn settle_all(&mut self, now: Timestamp, effects: &mut Effects) {
        while let Some(id) = self.unsettled.pop_first() {
            let Some(mut service) = self.services.remove(&id) else { continue };
            let wakeup = self.settle(now, &mut service, effects);
            self.set_wakeup(&mut service, wakeup);
            self.note_scouting(&service);
            if service.ready().next().is_some() {
                self.ready.insert(id.clone());
            } else {
                self.ready.remove(&id);
            }
            if service.record.wanted == Wanted::Removed && service.instances.is_empty() {
                self.set_wakeup(&mut service, None);
                self.touched_services.insert(id);
            } else {
                self.services.insert(id, service);
            }
        }
    }

    fn set_wakeup(&mut self, service: &mut Service, wakeup: Option<Timestamp>) {
        if service.wakeup == wakeup {
            return;
        }
        if let Some(old) = service.wakeup {
            self.timers.remove(&(old, service.id().clone()));
        }
        if let Some(new) = wakeup {
            self.timers.insert((new, service.id().clone()));
        }
        service.wakeup = wakeup;
    }

    /// Tells when to look again.
    fn settle(&mut self, now: Timestamp, service: &mut Service, effects: &mut Effects) -> Option<Timestamp> {
        self.displace(now, service, effects);
        let is_stuck = 2 * service.instances.len() + 8;
        for _ in 0..is_stuck {
            let wakeup = self.repair(now, service, effects);
            let plan = plan_instances(&puzzle(service));
            if plan == Plan::default() {
                if renew_waiting(service, &mut self.touched_instances) {
                    continue;
                }
                let judged = self.steer_deployment(now, service, effects);
                return wakeup.into_iter().chain(judged).min();
            }
            for (number, cause) in plan.stop {
                self.stop(now, service, number, cause, effects);
            }
            for number in service.free_numbers(plan.create) {
                self.create(now, service, number, effects);
            }
        }
        unreachable!("{} does not settle: each round stops or creates something", service.id())
    }

    /// Looks after each instance by itself; tells when the next one is due.
    fn repair(&mut self, now: Timestamp, service: &mut Service, effects: &mut Effects) -> Option<Timestamp> {
        let mut wakeup: Option<Timestamp> = None;
        for instance in service.instances.values_mut() {
            let repair = plan_repair(instance, &self.config, self.behind_until, now);
            let look_again = match repair {
                Repair::Leave => None,
                Repair::LookAgain(at) => Some(at),
                Repair::AskForOffer => {
                    if let Phase::Waiting(waiting) = &mut Arc::make_mut(instance).phase {
                        waiting.is_ready = true;
                    }
                    self.is_revival_due = true;
                    Some(now.plus(self.config.offer_patience))
                }
                Repair::MissOffer => {
                    self.unplaced.insert(instance.id.service.clone());
                    None
                }
                Repair::EndTrial => {
                    let instance = Arc::make_mut(instance);
                    let attempt = instance.attempt_mut().expect("whoever is on trial has a task");
                    attempt.is_on_trial = false;
                    let text = format!("on agent {}, it has lasted", attempt.agent);
                    announce_instance(instance, text, effects);
                    self.touched_instances.insert(&instance.id);
                    None
                }
                Repair::Replace(reason) => {
                    self.begin_kill(now, Arc::make_mut(instance), AfterKill::Restart, reason, effects)
                }
                Repair::EndDrain => {
                    let Phase::Draining { reason, .. } = &instance.phase else {
                        unreachable!("only a draining instance ends its drain")
                    };
                    let reason = reason.clone();
                    self.begin_kill(now, Arc::make_mut(instance), AfterKill::Gone, reason, effects)
                }
                Repair::RepeatKill => self.repeat_kill(now, Arc::make_mut(instance), effects),
            };
            wakeup = wakeup.into_iter().chain(look_again).min();
        }
        wakeup
    }

    /// Tells its task to end; tells when to say so again.
    fn begin_kill(
        &mut self,
        now: Timestamp,
        instance: &mut Instance,
        after: AfterKill,
        reason: Reason,
        effects: &mut Effects,
    ) -> Option<Timestamp> {
        let attempt = instance.attempt().expect("only an instance with a task is killed").clone();
        self.kill(&attempt.task, &reason, effects);
        let verb = match after {
            AfterKill::Gone => "kill",
            AfterKill::Restart => "replace",
        };
        decided(now, instance, verb, reason.clone(), effects);
        instance.enter(Phase::Killing { attempt, ordered_at: now, after, reason: reason.clone() });
        announce_instance(instance, reason.text, effects);
        self.touched_instances.insert(&instance.id);
        Some(now.plus(self.config.kill_repeat))
    }

    fn repeat_kill(
        &self,
        now: Timestamp,
        instance: &mut Instance,
        effects: &mut Effects,
    ) -> Option<Timestamp> {
        let Phase::Killing { attempt, ordered_at, reason, .. } = &mut instance.phase else {
            unreachable!("only a kill is repeated")
        };
        *ordered_at = now;
        self.kill(&attempt.task, reason, effects);
        Some(now.plus(self.config.kill_repeat))
    }

    /// An instance is not needed any more. Whoever may have requests finishes them first.
    fn stop(
        &mut self,
        now: Timestamp,
        service: &mut Service,
        number: u32,
        cause: StopCause,
        effects: &mut Effects,
    ) {
        let drain_limit = drain_limit(service, cause, self.config.surplus_drain);
        let reason = stop_reason(service, number, cause);
        let instance = service.instance_mut(number).expect("plans are about what there is");
        self.touched_instances.insert(&instance.id);
        match &mut instance.phase {
            Phase::Waiting(_) => {
                announce_gone(instance, reason.text, effects);
                service.instances.remove(&number);
            }
            Phase::Killing { after, reason: why, .. } => {
                *after = AfterKill::Gone;
                *why = reason;
            }
            Phase::Draining { .. } => unreachable!("whoever is leaving is not stopped again"),
            Phase::Live(attempt) => {
                let drain = instance.template.drain().min(drain_limit);
                let may_have_requests = attempt.was_healthy && !instance.template.ports.is_empty();
                if !may_have_requests || drain.is_zero() {
                    self.begin_kill(now, instance, AfterKill::Gone, reason, effects);
                    return;
                }
                let attempt = attempt.clone();
                decided(now, instance, "drain", reason.clone(), effects);
                instance.enter(Phase::Draining { attempt, until: now.plus(drain), reason: reason.clone() });
                announce_instance(instance, reason.text, effects);
            }
        }
    }

    /// It is on record from its first launch on, or once it is known to have no place: whoever takes over before wants as
    /// many, and a thousand of them cost no more than one.
    pub(crate) fn create(&self, now: Timestamp, service: &mut Service, number: u32, effects: &mut Effects) {
        let version = service.version().expect("nothing is created for a removed service");
        let id = InstanceId { service: service.id().clone(), number };
        let instance = Instance {
            id: id.clone(),
            version: version.digest,
            template: Arc::clone(&version.template),
            restarts: 0,
            crashes: 0,
            is_adopted: false,
            past: Vec::new(),
            phase: Phase::Waiting(Waiting::until(now, now)),
        };
        announce_instance(&instance, format!("wanted by revision {}", version.revision), effects);
        service.instances.insert(id.number, Arc::new(instance));
    }
}

/// The puzzle that a service poses.
fn puzzle(service: &Service) -> Puzzle {
    let wish = service.wish();
    let spec = service.version().map(|version| &version.spec);
    let members = service.instances.values().map(|instance| Member {
        number: instance.number(),
        kind: match service.is_wanted(instance.version) || can_renew(service, instance) {
            true => Kind::Updated,
            false => Kind::Outdated,
        },
        standing: standing(instance),
        stay: match instance.moving() {
            Some(moving) if moving.has_place => Stay::MayGoFirst,
            Some(_) => Stay::GoesAfter,
            None => Stay::Stays,
        },
    });
    Puzzle {
        wish,
        min_healthy: spec.map_or(0, |spec| spec.min_healthy()),
        max_total: spec.map_or(0, |spec| spec.max_total()),
        members: members.collect(),
    }
}

fn standing(instance: &Instance) -> Standing {
    match &instance.phase {
        _ if instance.is_leaving() => Standing::Leaving,
        Phase::Waiting(waiting) if waiting.shortfall.is_some() => Standing::Blocked,
        Phase::Waiting(_) => Standing::Idle,
        Phase::Live(attempt) if attempt.is_healthy() => Standing::Healthy,
        Phase::Live(_) | Phase::Killing { .. } | Phase::Draining { .. } => Standing::Up,
    }
}

/// An instance without a task takes on the wanted version for nothing. Only one of the last good version comes back
/// as it was: it is known to work, and the wanted one has yet to show that.
fn can_renew(service: &Service, instance: &Instance) -> bool {
    let is_good = service.record.last_good.as_ref().is_some_and(|good| good.digest == instance.version);
    matches!(instance.phase, Phase::Waiting(_)) && !is_good
}

/// Tells whether there was one.
fn renew_waiting(service: &mut Service, touched: &mut TouchedInstances) -> bool {
    let Some(version) = service.version().cloned() else { return false };
    let outdated: Vec<u32> = service
        .instances
        .values()
        .filter(|instance| instance.version != version.digest && can_renew(service, instance))
        .map(|instance| instance.number())
        .collect();
    for number in &outdated {
        let instance = service.instance_mut(*number).expect("it was just seen");
        instance.version = version.digest;
        instance.template = Arc::clone(&version.template);
        (instance.restarts, instance.crashes) = (0, 0);
        if let Phase::Waiting(waiting) = &mut instance.phase {
            *waiting = Waiting::until(waiting.since, waiting.since);
        }
        touched.insert(&instance.id);
    }
    !outdated.is_empty()
}

/// Copies that came back from a partition are stopped soon (G10).
fn drain_limit(service: &Service, cause: StopCause, surplus_drain: Duration) -> Duration {
    let came_back = service.instances.values().any(|instance| instance.is_adopted && !instance.is_leaving());
    let is_deploying = service.deployment().is_some_and(Deployment::is_under_way);
    if cause == StopCause::Surplus && came_back && !is_deploying { surplus_drain } else { Duration::MAX }
}

fn stop_reason(service: &Service, number: u32, cause: StopCause) -> Reason {
    let wish = service.wish();
    let Some(version) = service.version() else { return "its service was removed".into() };
    match cause {
        StopCause::Surplus if version.spec.is_stopped => "its service was stopped".into(),
        StopCause::Surplus => format!("more than the {wish} wished").into(),
        StopCause::Replaced => format!("replaced by one of revision {}", version.revision).into(),
        StopCause::MakesRoom => format!("makes room for one of revision {}", version.revision).into(),
        StopCause::Moved => match service.instance(number).and_then(Instance::moving) {
            Some(moving) => {
                Reason { text: format!("moves: {}", moving.reason), hint: moving.reason.hint.clone() }
            }
            None => "moves".into(),
        },
    }
}
