//! The kernel's state, and the one door in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use kogge_model::id::{AgentId, FrameworkId, OfferId, RunId, TaskId, Term};
use kogge_model::scheduler::Call;
use kogge_model::time::Timestamp;

use crate::agent::{Agent, Phase};
use crate::away_copies::AwayCopies;
use crate::clock::Clock;
use crate::config::Config;
use crate::effect::{Effect, Effects};
use crate::framework::Framework;
use crate::input::Input;
use crate::offer::{self, OpenOffer};
use crate::quantity::Quantities;
use crate::record::Records;
use crate::silences::Silences;
use crate::task::Task;
use crate::timer::{Timer, Timers};

/// Agents, offers, frameworks and tasks of one cluster.
#[derive(Debug, Clone)]
pub struct Kernel {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) agents: BTreeMap<AgentId, Agent>,
    pub(crate) frameworks: BTreeMap<FrameworkId, Framework>,
    pub(crate) tasks: BTreeMap<TaskId, Task>,
    pub(crate) away: AwayCopies,
    pub(crate) offers: BTreeMap<OfferId, OpenOffer>,
    pub(crate) timers: Timers,
    /// Agents whose free remainder changed since the last look.
    pub(crate) to_offer: BTreeSet<AgentId>,
    /// What all agents that are not lost have together.
    pub(crate) whole: Quantities,
    pub(crate) next_offer: OfferId,
    pub(crate) newest_run: RunId,
    /// Safe in the store apart from any task's record.
    pub(crate) saved_run: RunId,
    /// As they were a moment ago, if anybody was judged.
    pub(crate) silences: Option<Silences>,
    /// See [`Kernel::observe_delay`]; the last ones that matter.
    pub(crate) delays: VecDeque<(Timestamp, Duration)>,
    /// See [`Kernel::observe_backlog`].
    pub(crate) unheard: Duration,
    /// By the steady clock.
    pub(crate) began_at: Timestamp,
}

/// Each term mints runs above this, so that none returns even when a store has lost its counter (G4).
const fn first_run(term: Term) -> RunId {
    RunId(term.0 << 24)
}

/// Slow rounds that are remembered: an order that was made before them has been repeated since.
const MAX_DELAYS: usize = 64;

impl Kernel {
    /// The kernel of a cluster that has never run anything.
    #[must_use]
    pub fn new(now: Timestamp, config: Config) -> Self {
        Self::restore(now, Config { is_founder: true, ..config }, Records::default())
    }

    /// The kernel as its records left it. Agents are given time to come back before any is judged.
    #[must_use]
    pub fn restore(now: Timestamp, config: Config, records: Records) -> Self {
        Self::restore_at(now, None, config, records)
    }

    /// The same, told what a clock says that never jumps; see [`Kernel::observe_steady`].
    #[must_use]
    pub fn restore_at(now: Timestamp, steady: Option<Duration>, config: Config, records: Records) -> Self {
        let mut kernel = Self {
            clock: Clock::new(now),
            agents: BTreeMap::new(),
            frameworks: BTreeMap::new(),
            tasks: BTreeMap::new(),
            away: AwayCopies::default(),
            offers: BTreeMap::new(),
            timers: Timers::default(),
            to_offer: BTreeSet::new(),
            whole: Quantities::default(),
            next_offer: offer::first_of(config.term),
            silences: None,
            delays: VecDeque::new(),
            unheard: Duration::ZERO,
            newest_run: records.highest_run.max(first_run(config.term)),
            saved_run: records.highest_run,
            began_at: now,
            config,
        };
        if let Some(steady) = steady {
            kernel.observe_steady(steady);
            kernel.began_at = kernel.clock.steady();
        }
        kernel.restore_agents(now, records.agents);
        kernel.restore_frameworks(now, records.frameworks);
        for record in records.tasks {
            let is_inherited = record.is_confirmed();
            kernel.restore_task(Task { is_inherited, ..Task::new(record) });
        }
        kernel
    }

    fn restore_agents(&mut self, now: Timestamp, records: Vec<crate::AgentRecord>) {
        for record in records {
            let agent = Agent::new(record, Phase::Expected, now);
            self.timers.arm(agent.silence_deadline(&self.config), Timer::Silence(agent.id().clone()));
            self.whole.add(agent.ledger.total());
            self.agents.insert(agent.id().clone(), agent);
        }
    }

    fn restore_frameworks(&mut self, now: Timestamp, records: Vec<crate::FrameworkRecord>) {
        for record in records {
            let id = record.info.framework.clone();
            let mut framework = Framework::new(record.info);
            framework.is_ending = record.is_ending;
            let deadline = now.plus(self.config.grace + framework.failover());
            framework.failover_at = Some(deadline);
            self.timers.arm(deadline, Timer::Failover(id.clone()));
            self.frameworks.insert(id, framework);
        }
    }

    pub(crate) fn restore_task(&mut self, task: Task) {
        let (id, record) = (task.id().clone(), &task.record);
        self.newest_run = self.newest_run.max(record.status.run);
        let holds = record.is_live() || record.is_given_up();
        if let Some(agent) = self.agents.get_mut(&record.status.agent) {
            agent.tasks.insert(id.clone());
            if holds {
                agent.ledger.hold(&record.spec.resources);
            }
            self.away.note(record);
        }
        if !record.is_given_up() {
            let framework = self
                .frameworks
                .entry(record.framework.clone())
                .or_insert_with(|| Framework::unrecorded(&record.framework));
            framework.tasks.insert((record.status.run, id.clone()));
            if record.is_live() {
                framework.allocated.add(&record.spec.resources);
            }
        }
        self.tasks.insert(id.clone(), task);
        self.presume_lease(&id);
    }

    /// Tells what a clock says that never jumps and goes on while the machine sleeps, whatever it counts from. Whoever
    /// has one tells it before each input: the wall clock may jump, and leases must not end early for that.
    pub const fn observe_steady(&mut self, steady: Duration) {
        self.clock.observe_steady(steady);
    }

    /// Tells for how long words of agents may have waited to be heard: whoever hands them in late tells it before each
    /// input, and nobody is judged by a silence that may be of the one who listens.
    pub const fn observe_backlog(&mut self, unheard: Duration) {
        self.unheard = unheard;
    }

    /// Tells that what was decided at `decided` was saved, and so sent, only `took` later: answers come as much later.
    pub fn observe_delay(&mut self, decided: Timestamp, took: Duration) {
        if took < self.config.resend_first / 10 {
            return;
        }
        if self.delays.len() == MAX_DELAYS {
            self.delays.pop_front();
        }
        self.delays.push_back((self.clock.when(decided), took));
    }

    /// How long after the decision at `decided` it went out.
    pub(crate) fn delay_of(&self, decided: Timestamp) -> Duration {
        let known = self.delays.iter().find(|(at, _)| *at == decided);
        known.map_or(Duration::ZERO, |(_, took)| *took)
    }

    /// Takes in one input and appends what follows from it, in the order of [`Effect::stage`].
    pub fn handle(&mut self, now: Timestamp, input: Input, effects: &mut Effects) {
        let (from, expected) = (effects.len(), self.timers.first());
        self.clock.observe(now);
        if expected.is_some_and(|at| self.now().saturating_since(at) > self.config.suspect_after / 2) {
            // Nobody called us when it was due, so this process stood still: words of agents may be waiting unread.
            self.forgive_silence();
        }
        match input {
            Input::FromFramework { framework, call } => self.obey(&framework, call, effects),
            Input::FrameworkGone { framework } => self.disconnect(&framework, effects),
            Input::FromAgent(message) => self.hear(message, effects),
            Input::FromOperator { agent, instruction } => self.instruct(&agent, &instruction, effects),
            Input::Tick => {}
        }
        self.look_at_timers(effects);
        self.plan_offers(effects);
        effects[from..].sort_by_key(Effect::stage);
    }

    fn obey(&mut self, framework: &FrameworkId, call: Call, effects: &mut Effects) {
        let call = match call {
            Call::Subscribe(info) => return self.subscribe(framework, info, effects),
            Call::Resume { info, known } => return self.resume(framework, info, &known, effects),
            call => call,
        };
        if !self.frameworks.get(framework).is_some_and(|known| known.is_connected && !known.is_ending) {
            return self.refuse(framework, &call, "the framework is not subscribed".into(), effects);
        }
        match call {
            Call::Subscribe(_) | Call::Resume { .. } => unreachable!("handled above"),
            Call::Accept { offers, launches, refuse } => {
                self.accept(framework, &offers, launches, refuse, effects);
            }
            Call::Decline { offers, refuse } => self.decline(framework, &offers, refuse, effects),
            Call::Revive => self.revive(framework),
            Call::Suppress => self.suppress(framework, effects),
            Call::Kill { task, grace, reason } => self.kill(framework, &task, grace, reason, effects),
            Call::Acknowledge { task, sequence } => self.acknowledge(framework, &task, sequence, effects),
            Call::AcknowledgeAll(updates) => {
                for (task, sequence) in updates {
                    self.acknowledge(framework, &task, sequence, effects);
                }
            }
            Call::Reconcile(tasks) => self.reconcile(framework, &tasks, effects),
            Call::Teardown => self.tear_down(framework, effects),
        }
    }

    fn look_at_timers(&mut self, effects: &mut Effects) {
        let now = self.now();
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Silence(agent) => self.judge_silence(&agent, effects),
                Timer::Doubt(agent) => self.ask_again(&agent, effects),
                Timer::Refusal(agent) => {
                    self.to_offer.insert(agent);
                }
                Timer::Order(_, task) => self.repeat_order(&task, effects),
                Timer::Lease(_, task) => self.judge_lease(&task, effects),
                Timer::Offer(offer) => self.judge_offer(offer, effects),
                Timer::Failover(framework) => self.judge_failover(&framework, effects),
            }
        }
    }

    /// When [`Kernel::handle`] wants a [`Input::Tick`] at the latest.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        self.timers.first().map(|at| self.clock.on_the_wall(at))
    }

    /// The time for deadlines.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
