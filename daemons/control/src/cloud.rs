//! The cores together, and how they talk with each other.
//!
//! `services` speaks with `kernel` in scheduler calls and events, as a foreign framework would; the tree tells
//! `services` what is wanted. All of a round's conversation happens here, in memory, before anything of it is
//! persisted or sent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use kogge_discovery::{Discovery, RoutingTable};
use kogge_host::clock;
use kogge_kernel::Kernel;
use kogge_model::decision::Decision;
use kogge_model::id::{AgentId, FrameworkId, RunId, TaskId};
use kogge_model::link::{FromAgent, ToAgent};
use kogge_model::name::ServiceId;
use kogge_model::reason::Reason;
use kogge_model::scheduler::{Call, Event};
use kogge_model::time::Timestamp;
use kogge_model::view::EventKind;
use kogge_revisions::{Action, Author, Edit, Expected, Subtree, Tree, TreePath, Write};
use kogge_services::{Change, Services};

use crate::access::{Access, Impostor, Operators};
use crate::ended::EndedTasks;
use crate::journal::Journal;
use crate::keys;
use crate::refusal::Refusal;
use crate::round::Round;
use crate::routing::Drain;
use crate::settings::Settings;

/// What one round saves before the cores fall silent until the next one, so that nobody waits for long: more when many
/// wait anyway, and some more because a word is not broken off.
pub(crate) const ROUND_OPS: usize = 1_024;

/// Calls and events of one round at most: a conversation of the cores that goes on is a fault of ours.
const CONVERSATION_LIMIT: usize = 1_000_000;

/// Events that are heard together.
const EVENTS_AT_ONCE: usize = 4_096;

/// Services that are gone whose history is kept.
const GONE_HISTORIES: usize = 100;

/// All cores.
pub(crate) struct Cloud {
    pub(crate) settings: Settings,
    pub(crate) tree: Tree,
    pub(crate) services: Services,
    pub(crate) kernel: Kernel,
    pub(crate) discovery: Discovery,
    pub(crate) journal: Journal,
    pub(crate) ended: EndedTasks,
    pub(crate) access: Access,
    /// Identities that were used twice since this server leads: the last one that was refused.
    pub(crate) impostors: BTreeMap<AgentId, Impostor>,
    pub(crate) operators: Arc<Operators>,
    /// Services whose part of the catalog may be outdated.
    pub(crate) stale: BTreeSet<ServiceId>,
    /// Runs whose drain is being waited for.
    pub(crate) draining: BTreeMap<RunId, Drain>,
    pub(crate) framework: FrameworkId,
    /// What the cores have still to hear from each other.
    pub(crate) words: VecDeque<Word>,
    /// When they last began to decide, with what stands in the store: since then they have heard what they know of agents.
    pub(crate) begun: Timestamp,
}

/// A word from one core to another.
pub(crate) enum Word {
    ToKernel(kogge_kernel::Input),
    /// Said to services by the kernel; heard together with those that follow at once.
    Event(Event),
}

/// `first` and the events that stand before any other word, so many that what follows from them is a large round. Offers
/// stand alone: what is launched on them is much already.
fn with_following(first: Event, words: &mut VecDeque<Word>) -> Vec<Event> {
    let mut events = vec![first];
    let is_offers = |event: &Event| matches!(event, Event::Offers(_));
    while events.len() < EVENTS_AT_ONCE && !is_offers(&events[0]) {
        match words.pop_front() {
            Some(Word::Event(event)) if !is_offers(&event) => events.push(event),
            Some(other) => {
                words.push_front(other);
                break;
            }
            None => break,
        }
    }
    events
}

impl Cloud {
    /// Fresh from the store: the cores introduce themselves to each other.
    pub(crate) fn begin(&mut self, round: &mut Round) {
        self.begun = round.now;
        self.stale.extend(self.tree.services().into_keys());
        if let Some(head) = self.tree.head() {
            let desired = kogge_services::Input::Desired {
                revision: head.id,
                change: Change::Whole(self.tree.services()),
            };
            self.ask_services(desired, round);
        }
        self.talk(ROUND_OPS, round);
        // What runs can only be recognised by who knows what is wanted.
        self.ask_services(kogge_services::Input::Connected, round);
        self.talk(ROUND_OPS, round);
    }

    /// An agent said something.
    pub(crate) fn hear_agent(&mut self, message: FromAgent, round: &mut Round) {
        self.ask_kernel(kogge_kernel::Input::FromAgent(message), round);
    }

    /// What this round has to save and to talk about.
    pub(crate) fn work(&self, round: &Round) -> usize {
        round.batch.len() + self.words.len()
    }

    /// A round begins `now`. If the cores have still to hear from each other, nobody waits in vain for what they say.
    pub(crate) fn begin_round(&mut self, now: Timestamp) -> Round {
        if !self.words.is_empty() {
            self.services.observe_backlog(now);
        }
        Round::begin(now)
    }

    /// An operator said something of an agent.
    pub(crate) fn instruct(
        &mut self,
        agent: AgentId,
        instruction: kogge_kernel::Instruction,
        round: &mut Round,
    ) {
        self.ask_kernel(kogge_kernel::Input::FromOperator { agent, instruction }, round);
    }

    /// The router is done with a task.
    pub(crate) fn drained(&mut self, task: TaskId, round: &mut Round) {
        self.ask_services(kogge_services::Input::Drained { task }, round);
    }

    /// Whatever is due.
    pub(crate) fn tick(&mut self, round: &mut Round) {
        if self.kernel.next_wakeup().is_some_and(|at| at <= round.now) {
            self.ask_kernel(kogge_kernel::Input::Tick, round);
        }
        if self.services.next_wakeup().is_some_and(|at| at <= round.now) {
            self.ask_services(kogge_services::Input::Tick, round);
        }
    }

    /// When something is due next.
    pub(crate) fn next_wakeup(&self) -> Option<Timestamp> {
        [self.kernel.next_wakeup(), self.services.next_wakeup()].into_iter().flatten().min()
    }

    /// Makes a planned revision the newest; tells which services it touches.
    pub(crate) fn write(&mut self, write: Write, round: &mut Round) -> Vec<ServiceId> {
        for (digest, bytes) in &write.save_nodes {
            round.batch.put_bytes(keys::under(keys::NODES, digest.hex()), bytes.clone());
        }
        round.batch.put(keys::revision(write.save_revision.id), &write.save_revision);
        for revision in &write.forget_revisions {
            round.batch.delete(keys::revision(*revision));
        }
        for digest in &write.forget_nodes {
            round.batch.delete(keys::under(keys::NODES, digest.hex()));
        }
        let before = self.tree.head().map(|revision| revision.root);
        let revision = write.save_revision.clone();
        self.tree.apply(write);
        let changed = self.tree.changed_services(before, Some(revision.root));
        let touched: Vec<ServiceId> = changed.keys().cloned().collect();
        round.announce(EventKind::Revision, None, format!("revision {}: {}", revision.id, revision.message));
        let desired =
            kogge_services::Input::Desired { revision: revision.id, change: Change::Changed(changed) };
        self.stale.extend(touched.iter().cloned());
        self.ask_services(desired, round);
        touched
    }

    /// The cores talk until nobody has anything to say, or the round has `most` things to save: then they go on in the
    /// next one.
    pub(crate) fn talk(&mut self, most: usize, round: &mut Round) {
        let mut said = 0usize;
        while round.batch.len() < most
            && let Some(word) = self.words.pop_front()
        {
            said += 1;
            assert!(said < CONVERSATION_LIMIT, "the cores talk in circles");
            match word {
                Word::ToKernel(input) => self.ask_kernel(input, round),
                Word::Event(event) => {
                    let events = with_following(event, &mut self.words);
                    for input in kogge_services::Input::of_events(events) {
                        self.ask_services(input, round);
                    }
                }
            }
        }
    }

    fn ask_kernel(&mut self, input: kogge_kernel::Input, round: &mut Round) {
        use kogge_kernel::Effect;
        let mut effects = Vec::new();
        // Read anew: what is heard may have been said after the round began.
        self.kernel.observe_steady(clock::since_boot());
        self.kernel.handle(round.now, input, &mut effects);
        for effect in effects {
            match effect {
                Effect::Save(record) => {
                    round.batch.put(keys::under(keys::TASKS, &record.spec.task), &record);
                }
                Effect::Forget(task) => round.batch.delete(keys::under(keys::TASKS, task)),
                Effect::SaveAgent(record) => {
                    round.batch.put(keys::under(keys::AGENTS, &record.info.agent), &record);
                }
                Effect::ForgetAgent(agent) => round.batch.delete(keys::under(keys::AGENTS, agent)),
                Effect::SaveFramework(record) => {
                    round.batch.put(keys::under(keys::FRAMEWORKS, &record.info.framework), &record);
                }
                Effect::ForgetFramework(framework) => {
                    round.batch.delete(keys::under(keys::FRAMEWORKS, framework));
                }
                Effect::SaveHighestRun(run) => round.batch.put(keys::RUN_COUNTER.into(), &run),
                Effect::ToFramework { framework, event } => self.pass_on(&framework, event, round),
                Effect::ToAgent { agent, message } => {
                    if matches!(message, ToAgent::GrantLease { .. }) {
                        round.batch.put(keys::LAST_GRANT.into(), &round.now);
                    }
                    round.outbox.push((agent, message));
                }
                Effect::StepDown(reason) => round.abdication = Some(reason),
                Effect::Explain(decision) => self.note(decision, round),
            }
        }
    }

    fn pass_on(&mut self, framework: &FrameworkId, event: Event, round: &mut Round) {
        if let Event::Update(status) = &event {
            self.remember_end(status, round);
        }
        if *framework == self.framework {
            self.words.push_back(Word::Event(event));
        }
    }

    fn ask_services(&mut self, input: kogge_services::Input, round: &mut Round) {
        use kogge_services::Effect;
        let mut effects = Vec::new();
        self.services.handle(round.now, input, &mut effects);
        for effect in effects {
            match effect {
                Effect::SaveService(record) => {
                    self.stale.insert(record.service.clone());
                    round.batch.put(keys::under(keys::SERVICES, record.service.path()), &record);
                }
                Effect::ForgetService(service) => {
                    round.batch.delete(keys::under(keys::SERVICES, service.path()));
                    self.stale.insert(service);
                    self.prune_histories(round);
                }
                Effect::SaveInstance(record) => {
                    self.stale.insert(record.id.service.clone());
                    round.batch.put(keys::instance(&record.id), &record);
                }
                Effect::ForgetInstance(id) => {
                    round.batch.delete(keys::instance(&id));
                    self.stale.insert(id.service);
                }
                Effect::Call(call) => self.call(call),
                Effect::RollBack { service, to, undone, reason } => {
                    self.roll_back(&service, Subtree::Service(to), undone, &reason, round);
                }
                Effect::Explain(decision) => self.note(decision, round),
                Effect::Announce(announcement) => round.announce_service(announcement),
            }
        }
    }

    /// One who asks for offers twice before they are made means the same; acknowledgements are passed on together.
    fn call(&mut self, call: Call) {
        use kogge_kernel::Input::FromFramework;
        let last = match self.words.back_mut() {
            Some(Word::ToKernel(FromFramework { call, .. })) => Some(call),
            Some(Word::ToKernel(_) | Word::Event(_)) | None => None,
        };
        let call = match (call, last) {
            (Call::Revive, Some(Call::Revive)) => return,
            (Call::Acknowledge { task, sequence }, Some(Call::AcknowledgeAll(others)))
                if others.len() < EVENTS_AT_ONCE =>
            {
                return others.push((task, sequence));
            }
            (Call::Acknowledge { task, sequence }, _) => Call::AcknowledgeAll(vec![(task, sequence)]),
            (call, _) => call,
        };
        self.words.push_back(Word::ToKernel(FromFramework { framework: self.framework.clone(), call }));
    }

    /// A deployment gave up: the tree gets the last good version back, unless somebody changed the service since.
    fn roll_back(
        &mut self,
        service: &ServiceId,
        to: Subtree,
        undone: kogge_model::id::RevisionId,
        reason: &Reason,
        round: &mut Round,
    ) {
        let edit = Edit {
            path: TreePath::from(service),
            expected: Expected::SameAs(undone),
            action: Action::Put(to),
        };
        let message = format!("roll {service} back: {}", reason.text);
        let author = Author { name: "kogge".to_owned(), at: round.now, message };
        match self.tree.plan(&[edit], &author) {
            Ok(Some(write)) => {
                self.write(write, round);
            }
            Ok(None) => {}
            Err(error) => tracing::info!(%service, %error, "a roll-back is overtaken by a newer change"),
        }
    }

    fn note(&mut self, decision: Decision, round: &mut Round) {
        if let Some(service) = &decision.service {
            self.stale.insert(service.clone());
        }
        round.announce_decision(&decision);
        self.journal.add(decision);
    }

    /// The history of services that are gone is kept for a while, but not without bound (G24).
    fn prune_histories(&mut self, round: &mut Round) {
        let gone = self.journal.oldest_first().filter(|service| self.services.get(service).is_none());
        let gone: Vec<ServiceId> = gone.cloned().collect();
        for service in gone.iter().rev().skip(GONE_HISTORIES) {
            self.journal.forget(service, &mut round.batch);
            self.ended.forget(service, &mut round.batch);
        }
    }

    /// The table routers should have, if it changed.
    pub(crate) fn refresh_routing(&mut self) -> Option<Arc<RoutingTable>> {
        if self.stale.is_empty() {
            return None;
        }
        for service in std::mem::take(&mut self.stale) {
            self.refresh_catalog(&service);
        }
        self.discovery.refresh()
    }

    /// Nothing of that name.
    pub(crate) fn unknown(&self, name: &str) -> Refusal {
        let reason = Reason::new(format!("there is no {name}"));
        Refusal::NotFound(reason.with_hint("kogge apps lists what there is"))
    }
}

#[cfg(test)]
pub(crate) mod tests;
