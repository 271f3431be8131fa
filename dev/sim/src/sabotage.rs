//! Deliberately broken cores: proof that each checker catches what it is there for.
//!
//! The cores themselves have no switches; what goes into them or comes out is twisted here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kogge_kernel::{self as kernel, Effect, Input, Kernel, TaskRecord};
use kogge_model::attribute::Constraint;
use kogge_model::id::{AgentId, RunId, TaskId};
use kogge_model::link::{FromAgent, ToAgent, ToControl};
use kogge_model::name::ServiceId;
use kogge_model::scheduler::{Call, Event};
use kogge_model::service::ServiceSpec;
use kogge_model::task::{TaskSpec, TaskState};
use kogge_model::time::Timestamp;

use crate::machine;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trick {
    /// Nothing.
    #[default]
    None,
    /// The fit check looks at agents that are larger than they are, and everybody wants the same one.
    BlindFitCheck,
    /// An accepted offer stays open and is accepted again.
    OfferStaysOpen,
    /// A launch goes to a second agent too, as another run.
    LaunchTwice,
    /// An instance that has a task is given a second one.
    SecondTask,
    /// The minimum of healthy instances does not count.
    NoMinimum,
    /// The maximum of instances does not count.
    NoMaximum,
    /// Updates are never acknowledged to agents.
    NoAcknowledgement,
    /// Launches for one agent never leave.
    LostLaunches,
    /// Task records are not saved, so that a restart forgets them.
    UnsavedTasks,
    /// Whatever is not on record is killed.
    KillUnknown,
    /// Orders go out before they are persisted.
    SendFirst,
    /// Supervisors do not end their tasks when a lease is over.
    DeafSupervisors,
    /// The leader's clock for leases runs four times too fast.
    HastyLeader,
    /// A lease counts from when it was granted, however late the grant comes.
    LateGrants,
    /// Nobody goes back when services ask for it.
    NeverRollBack,
    /// Services never hear which agents are to be left.
    NoInverseOffers,
    /// Offers come from an agent that is drained.
    OffersOfDrained,
}

/// The saboteur.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sabotage {
    trick: Trick,
    times: u64,
    agents: Vec<AgentId>,
    drained: Option<AgentId>,
}

impl Sabotage {
    pub(crate) fn new(trick: Trick) -> Self {
        Self { trick, ..Self::default() }
    }

    /// What services are told of a wish.
    pub(crate) fn twist_wish(&self, spec: Arc<ServiceSpec>) -> Arc<ServiceSpec> {
        let mut twisted = (*spec).clone();
        match self.trick {
            Trick::BlindFitCheck => {
                let (key, value) = ("agent".to_owned(), machine::agent_id(0).to_string());
                twisted.constraints = vec![Constraint::Is { key, value }];
            }
            Trick::NoMinimum => twisted.upgrade.min_healthy_percent = 0,
            Trick::NoMaximum => twisted.upgrade.max_surge_percent = 400,
            _ => return spec,
        }
        Arc::new(twisted)
    }

    pub(crate) fn twist_wishes(
        &self,
        wishes: BTreeMap<ServiceId, Arc<ServiceSpec>>,
    ) -> BTreeMap<ServiceId, Arc<ServiceSpec>> {
        wishes.into_iter().map(|(id, spec)| (id, self.twist_wish(spec))).collect()
    }

    /// What the kernel is told.
    pub(crate) fn twist_input(&mut self, mut input: Input) -> Input {
        if let Input::FromAgent(FromAgent { agent, body: ToControl::Register { info, .. } }) = &mut input {
            if !self.agents.contains(agent) {
                self.agents.push(agent.clone());
            }
            if self.trick == Trick::BlindFitCheck {
                info.resources.cpu_millis.0 *= 40;
                info.resources.mem_bytes.0 *= 40;
            }
        }
        input
    }

    /// What the saboteur needs to know of the kernel before it takes the input in.
    pub(crate) fn before(&self, kernel: &Kernel, input: &Input) -> Option<Kernel> {
        let is_accept = matches!(input, Input::FromFramework { call: Call::Accept { launches, .. }, .. } if !launches.is_empty());
        (self.trick == Trick::OfferStaysOpen && is_accept).then(|| kernel.clone())
    }

    /// What the leader's steady clock says.
    pub(crate) fn steady(&self, now: Timestamp) -> Duration {
        let time = now.saturating_since(machine::BEGINNING);
        if self.trick == Trick::HastyLeader { time * 4 } else { time }
    }

    /// Whether supervisors let leases pass.
    pub(crate) fn lets_leases_pass(&self) -> bool {
        self.trick == Trick::DeafSupervisors
    }

    /// Until when an agent lets a task live.
    pub(crate) fn twist_lease(&self, now: Timestamp, until: Timestamp, length: Duration) -> Timestamp {
        if self.trick == Trick::LateGrants { now.plus(length) } else { until }
    }

    /// Whether nobody goes back when services ask for it.
    pub(crate) fn is_deaf_to_roll_backs(&self) -> bool {
        self.trick == Trick::NeverRollBack
    }

    /// What the kernel asks for.
    pub(crate) fn twist_effects(&mut self, input: &Input, effects: &mut kernel::Effects) {
        match self.trick {
            Trick::SecondTask => second_task(effects),
            Trick::NoAcknowledgement => effects.retain(|effect| {
                !matches!(effect, Effect::ToAgent { message: ToAgent::Acknowledge { .. }, .. })
            }),
            Trick::LostLaunches => effects.retain(|effect| {
                let is_launch = matches!(effect, Effect::ToAgent { message: ToAgent::Launch { .. }, .. });
                !is_launch || self.agents.first() != to(effect)
            }),
            Trick::UnsavedTasks => effects.retain(|effect| !matches!(effect, Effect::Save(_))),
            Trick::KillUnknown => kill_unknown(input, effects),
            Trick::SendFirst => effects.sort_by_key(|effect| std::cmp::Reverse(effect.stage())),
            Trick::NoInverseOffers => effects.retain(|effect| {
                !matches!(effect, Effect::ToFramework { event: Event::InverseOffers(_), .. })
            }),
            Trick::OffersOfDrained => self.offer_drained(effects),
            Trick::None
            | Trick::DeafSupervisors
            | Trick::HastyLeader
            | Trick::LateGrants
            | Trick::BlindFitCheck
            | Trick::OfferStaysOpen
            | Trick::LaunchTwice
            | Trick::NoMinimum
            | Trick::NoMaximum
            | Trick::NeverRollBack => {}
        }
    }

    /// Offers of any agent become offers of the one that was last to be left.
    fn offer_drained(&mut self, effects: &mut kernel::Effects) {
        for effect in effects {
            match effect {
                Effect::ToFramework { event: Event::InverseOffers(offers), .. } => {
                    self.drained = offers.first().map(|offer| offer.agent.clone());
                }
                Effect::ToFramework { event: Event::Offers(offers), .. } => {
                    let Some(agent) = &self.drained else { continue };
                    offers.iter_mut().for_each(|offer| offer.agent = agent.clone());
                }
                _ => {}
            }
        }
    }

    /// An accept that the kernel of `before` takes once more, of other tasks on the same offers.
    pub(crate) fn accept_again(
        &mut self,
        now: Timestamp,
        before: Option<Kernel>,
        input: &Input,
    ) -> Option<(Input, kernel::Effects)> {
        let Input::FromFramework { framework, call: Call::Accept { offers, launches, refuse } } = input
        else {
            return None;
        };
        let mut kernel = before?;
        self.times += 1;
        let launches = launches.iter().map(|spec| Arc::new(renamed(spec, self.times))).collect();
        let call = Call::Accept { offers: offers.clone(), launches, refuse: *refuse };
        let (input, mut effects) = (Input::FromFramework { framework: framework.clone(), call }, vec![]);
        kernel.handle(now, input.clone(), &mut effects);
        for effect in &mut effects {
            if let Effect::ToAgent { message: ToAgent::Launch { run, .. }, .. } = effect {
                run.0 += 1_000_000 * self.times;
            }
        }
        effects.retain(|effect| matches!(effect, Effect::ToAgent { .. }));
        Some((input, effects))
    }

    /// What goes to agents.
    pub(crate) fn twist_outbox(&self, outbox: &mut Vec<(AgentId, ToAgent)>) {
        if self.trick == Trick::LaunchTwice {
            let again: Vec<_> = outbox.iter().filter_map(|order| self.elsewhere(order)).collect();
            outbox.extend(again);
        }
    }

    fn elsewhere(&self, (agent, order): &(AgentId, ToAgent)) -> Option<(AgentId, ToAgent)> {
        let ToAgent::Launch { run, spec } = order else { return None };
        let other = self.agents.iter().find(|other| *other != agent)?.clone();
        Some((other, ToAgent::Launch { run: RunId(run.0 + 1_000_000), spec: spec.clone() }))
    }
}

fn to(effect: &Effect) -> Option<&AgentId> {
    if let Effect::ToAgent { agent, .. } = effect { Some(agent) } else { None }
}

fn renamed(spec: &TaskSpec, times: u64) -> TaskSpec {
    TaskSpec { task: TaskId::new(format!("{}.x{times}", spec.task)), ..spec.clone() }
}

/// As if the record of another instance's task were of the first one's.
fn second_task(effects: &mut kernel::Effects) {
    let twins: Vec<Effect> = effects
        .iter()
        .filter_map(|effect| {
            let Effect::Save(record) = effect else { return None };
            if record.status.state != TaskState::Staging {
                return None;
            }
            let spec = Arc::new(renamed(&record.spec, 1));
            Some(Effect::Save(Arc::new(TaskRecord { spec, ..(**record).clone() })))
        })
        .collect();
    effects.splice(0..0, twins);
}

fn kill_unknown(input: &Input, effects: &mut kernel::Effects) {
    let Input::FromAgent(FromAgent { agent, body: ToControl::Register { tasks, .. } }) = input else {
        return;
    };
    for effect in effects.clone() {
        let Effect::Explain(decision) = effect else { continue };
        let stray = tasks
            .iter()
            .find(|status| decision.verb == "keep" && decision.task.as_ref() == Some(&status.task));
        if let Some(status) = stray {
            let message = ToAgent::Kill {
                task: status.task.clone(),
                run: status.run,
                grace_ms: None,
                reason: "it is not on record".into(),
            };
            effects.insert(0, Effect::ToAgent { agent: agent.clone(), message });
        }
    }
}
