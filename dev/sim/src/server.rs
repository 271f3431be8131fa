//! The control plane without its process: kernel and services talk in memory, then everything is committed, then sent.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use kogge_kernel::{self as kernel, Kernel};
use kogge_model::id::{AgentId, ClusterId, FrameworkId, RevisionId, TaskId, Term};
use kogge_model::link::ToAgent;
use kogge_model::name::InstanceId;
use kogge_model::reason::Reason;
use kogge_model::scheduler::Event;
use kogge_model::time::Timestamp;
use kogge_services::{self as services, Change, Instance, Phase, Services};

use crate::check::Checks;
use crate::sabotage::Sabotage;
use crate::store::{Store, Tree, Write};

/// Words of one conversation at most.
const CONVERSATION_LIMIT: usize = 200_000;

/// A server that leads.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) cluster: ClusterId,
    pub(crate) term: Term,
    pub(crate) kernel: Kernel,
    pub(crate) services: Services,
    pub(crate) tree: Tree,
    framework: FrameworkId,
    /// Instances as they were last saved, committed or not.
    pub(crate) instances: BTreeMap<InstanceId, Instance>,
}

/// What one input led to: all of `writes` must be durable before anything of the rest happens.
#[derive(Debug, Clone, Default)]
pub(crate) struct Round {
    pub(crate) writes: Vec<Write>,
    pub(crate) outbox: Vec<(AgentId, ToAgent)>,
    /// Tasks that get no new requests from now on.
    pub(crate) draining: Vec<TaskId>,
    pub(crate) stepped_down: Option<Reason>,
    pub(crate) notes: Vec<String>,
}

/// A word from one core to another.
#[derive(Debug, Clone)]
pub(crate) enum Word {
    Kernel(kernel::Input),
    Services(services::Input),
}

/// What looks on, and what interferes.
pub(crate) struct Watchers<'a> {
    pub(crate) checks: &'a mut Checks,
    pub(crate) sabotage: &'a mut Sabotage,
}

impl Server {
    /// A server that takes over from what the store has.
    pub(crate) fn boot(
        (now, steady): (Timestamp, Duration),
        cluster: ClusterId,
        seed: [u8; 32],
        store: &Store,
    ) -> Result<Self, services::RestoreError> {
        // Some launch so few at once that others wait for their turn.
        let launches_at_once = [1, 3, 4_096][usize::from(seed[0] % 3)];
        let config = services::Config { launches_at_once, ..services::Config::default() };
        let term = Term(store.term);
        Ok(Self {
            framework: config.framework.framework.clone(),
            kernel: Kernel::restore_at(
                now,
                Some(steady),
                kernel::Config { is_founder: store.term == 1, ..kernel::Config::new(cluster.clone(), term) },
                store.kernel_records(),
            ),
            services: Services::restore(now, config, seed, store.service_records())?,
            tree: store.tree.clone(),
            instances: store.instances.clone(),
            cluster,
            term,
        })
    }

    /// The first words of a leader.
    pub(crate) fn greet(&mut self, now: Timestamp, round: &mut Round, watchers: &mut Watchers<'_>) {
        self.converse(now, Word::Services(services::Input::Connected), round, watchers);
        if self.tree.revision > RevisionId::default() {
            let change = Change::Whole(watchers.sabotage.twist_wishes(self.tree.services.clone()));
            let desired = services::Input::Desired { revision: self.tree.revision, change };
            self.converse(now, Word::Services(desired), round, watchers);
        }
    }

    pub(crate) fn next_wakeup(&self) -> Option<Timestamp> {
        [self.kernel.next_wakeup(), self.services.next_wakeup()].into_iter().flatten().min()
    }

    pub(crate) fn tick(&mut self, now: Timestamp, round: &mut Round, watchers: &mut Watchers<'_>) {
        if self.kernel.next_wakeup().is_some_and(|at| at <= now) {
            self.converse(now, Word::Kernel(kernel::Input::Tick), round, watchers);
        }
        if self.services.next_wakeup().is_some_and(|at| at <= now) {
            self.converse(now, Word::Services(services::Input::Tick), round, watchers);
        }
    }

    /// An operator said something of a machine.
    pub(crate) fn instruct(
        &mut self,
        now: Timestamp,
        agent: AgentId,
        instruction: kernel::Instruction,
        round: &mut Round,
        watchers: &mut Watchers<'_>,
    ) {
        let input = kernel::Input::FromOperator { agent, instruction };
        self.converse(now, Word::Kernel(input), round, watchers);
    }

    /// The tree changes, and services hear of it.
    pub(crate) fn change_tree(
        &mut self,
        now: Timestamp,
        change: BTreeMap<
            kogge_model::name::ServiceId,
            Option<std::sync::Arc<kogge_model::service::ServiceSpec>>,
        >,
        round: &mut Round,
        watchers: &mut Watchers<'_>,
    ) {
        let desired = self.write_tree(change, round, watchers);
        self.converse(now, Word::Services(desired), round, watchers);
    }

    fn write_tree(
        &mut self,
        change: BTreeMap<
            kogge_model::name::ServiceId,
            Option<std::sync::Arc<kogge_model::service::ServiceSpec>>,
        >,
        round: &mut Round,
        watchers: &mut Watchers<'_>,
    ) -> services::Input {
        let revision = self.tree.revision.next();
        self.tree.revision = revision;
        let mut told = BTreeMap::new();
        for (id, spec) in change {
            if self.tree.services.get(&id) != spec.as_ref() {
                self.tree.changed_in.insert(id.clone(), revision);
            }
            match &spec {
                Some(spec) => drop(self.tree.services.insert(id.clone(), spec.clone())),
                None => drop(self.tree.services.remove(&id)),
            }
            told.insert(id, spec.map(|spec| watchers.sabotage.twist_wish(spec)));
        }
        round.writes.push(Write::Tree(self.tree.clone()));
        services::Input::Desired { revision, change: Change::Changed(told) }
    }

    /// The cores talk until nobody has anything to say.
    pub(crate) fn converse(
        &mut self,
        now: Timestamp,
        first: Word,
        round: &mut Round,
        watchers: &mut Watchers<'_>,
    ) {
        let mut words = VecDeque::from([first]);
        for _ in 0..CONVERSATION_LIMIT {
            match words.pop_front() {
                None => return,
                Some(Word::Kernel(input)) => self.ask_kernel(now, input, &mut words, round, watchers),
                Some(Word::Services(input)) => self.ask_services(now, input, &mut words, round, watchers),
            }
        }
        watchers.checks.fail("the cores talk in circles");
    }

    fn ask_kernel(
        &mut self,
        now: Timestamp,
        input: kernel::Input,
        words: &mut VecDeque<Word>,
        round: &mut Round,
        watchers: &mut Watchers<'_>,
    ) {
        let mut effects = Vec::new();
        let input = watchers.sabotage.twist_input(input);
        let before = watchers.sabotage.before(&self.kernel, &input);
        self.kernel.observe_steady(watchers.sabotage.steady(now));
        self.kernel.handle(now, input.clone(), &mut effects);
        watchers.sabotage.twist_effects(&input, &mut effects);
        watchers.checks.after_kernel(&input, &effects, self.kernel.view());
        if let Some((again, more)) = watchers.sabotage.accept_again(now, before, &input) {
            watchers.checks.after_kernel(&again, &more, self.kernel.view());
            effects.extend(more);
        }
        let mut events = Vec::new();
        for effect in effects {
            use kernel::Effect;
            match effect {
                Effect::ToFramework { framework, event } if framework == self.framework => {
                    if let Event::Refused { call, reason } = &event {
                        round.notes.push(format!("kernel refused {call}: {reason}"));
                    }
                    events.push(event);
                }
                Effect::ToFramework { .. } => {}
                Effect::ToAgent { agent, message } => round.outbox.push((agent, message)),
                Effect::StepDown(reason) => round.stepped_down = Some(reason),
                Effect::Explain(decision) => round.notes.push(told("kernel", &decision)),
                other => round.writes.push(Write::Kernel(other)),
            }
        }
        words.extend(services::Input::of_events(events).into_iter().map(Word::Services));
    }

    fn ask_services(
        &mut self,
        now: Timestamp,
        input: services::Input,
        words: &mut VecDeque<Word>,
        round: &mut Round,
        watchers: &mut Watchers<'_>,
    ) {
        use services::Effect;
        let mut effects = Vec::new();
        let before = self.known_instances();
        self.services.handle(now, input, &mut effects);
        for effect in effects {
            match effect {
                Effect::Call(call) => {
                    let framework = self.framework.clone();
                    words.push_back(Word::Kernel(kernel::Input::FromFramework { framework, call }));
                }
                Effect::RollBack { service, to, undone, reason } => {
                    let is_overtaken = self.tree.changed_in.get(&service).is_none_or(|last| *last > undone);
                    round.notes.push(format!("roll {service} back ({is_overtaken}): {reason}"));
                    if !is_overtaken && !watchers.sabotage.is_deaf_to_roll_backs() {
                        let change = BTreeMap::from([(service, Some(to))]);
                        words.push_back(Word::Services(self.write_tree(change, round, watchers)));
                    }
                }
                Effect::Explain(decision) => round.notes.push(told("services", &decision)),
                Effect::Announce(_) => {}
                other => self.save(other, round),
            }
        }
        watchers.checks.after_services(&before, &self.known_instances(), &self.tree);
    }

    /// All there are, those included that are not on record before they are launched.
    fn known_instances(&self) -> BTreeMap<InstanceId, Instance> {
        let all = self.services.iter().flat_map(|service| service.instances.values());
        all.map(|instance| (instance.id.clone(), (**instance).clone())).collect()
    }

    fn save(&mut self, effect: services::Effect, round: &mut Round) {
        match &effect {
            services::Effect::SaveInstance(instance) => {
                if let Phase::Draining { attempt, .. } = &instance.phase {
                    round.draining.push(attempt.task.clone());
                }
                self.instances.insert(instance.id.clone(), (**instance).clone());
            }
            services::Effect::ForgetInstance(id) => {
                self.instances.remove(id);
            }
            _ => {}
        }
        round.writes.push(Write::Services(effect));
    }
}

fn told(core: &str, decision: &kogge_model::decision::Decision) -> String {
    let service = decision.service.as_ref().map(ToString::to_string).unwrap_or_default();
    let number = decision.instance.map(|number| format!(".{number}")).unwrap_or_default();
    let task = decision.task.as_ref().map(|task| format!(" [{task}]")).unwrap_or_default();
    format!("{core}: {} {service}{number}{task}: {}", decision.verb, decision.reason)
}
