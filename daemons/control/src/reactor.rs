//! The single owner of all decisions: one loop, one round after the other.
//!
//! ```text
//!  requests ─┐
//!  agents ───┼─▶ cores decide ──▶ one durable commit ──▶ orders and acknowledgements go out ──▶ answers
//!  drains ───┤        ▲                  │ failed
//!  timers ───┘        └── cores reload ◀─┘ (nothing was told to anybody)
//! ```
//!
//! While the engine is away, or another server may lead, nothing is decided: see `seek.rs`.

use std::sync::Arc;
use std::time::Duration;

use kogge_host::backoff::Backoff;
use kogge_host::clock;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_model::id::{RunId, TaskId};
use kogge_model::link::{FromAgent, FromControl};
use kogge_model::reason::Reason;
use kogge_model::view::EventView;
use kogge_store::{CommitError, Leadership, Store};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::access::{Members, Operators};
use crate::cloud::{Cloud, ROUND_OPS};
use crate::copy::Copy;
use crate::hearing::Hearing;
use crate::image::Image;
use crate::intake::Intake;
use crate::job::{Answer, Job};
use crate::leading;
use crate::load::{self, LoadError};
use crate::pace::Pace;
use crate::ports::{AgentLinks, Drains, RoutingPublisher};
use crate::refusal::Refusal;
use crate::round::Round;
use crate::seek::Seeking;
use crate::standing::{ServerRecord, Standing};
use crate::view::View;

/// Requests taken into one round at most: bounds the time until the first is answered.
pub(crate) const ROUND_JOBS: usize = 64;

/// What the requests of one round may save and announce before no other one is taken into it.
const REQUESTED_WORK: usize = 16_384;

/// A round that takes longer is told: agents and people wait for it.
const SLOW_ROUND: Duration = Duration::from_millis(500);

/// The ends of all wires that lead into the reactor or out of it.
pub(crate) struct Wires {
    pub(crate) jobs: mpsc::Receiver<Job>,
    pub(crate) agents: AgentLinks,
    pub(crate) drained: mpsc::Receiver<TaskId>,
    pub(crate) routing: RoutingPublisher,
    pub(crate) drains: Arc<dyn Drains>,
    pub(crate) drained_out: mpsc::Sender<TaskId>,
    /// For the waits until instances are drained.
    pub(crate) group: TaskGroup,
    pub(crate) events: broadcast::Sender<EventView>,
    /// Counts rounds that changed something: whoever waits for a state looks again.
    pub(crate) changed: watch::Sender<u64>,
    /// Why the reactor ended, if it did so by itself.
    pub(crate) ended: watch::Sender<Option<Reason>>,
    /// Who belongs to the cluster, for its doors.
    pub(crate) members: watch::Sender<Members>,
    /// Who leads.
    pub(crate) standing: watch::Sender<Standing>,
    /// Who may come in from elsewhere, for the same.
    pub(crate) operators: watch::Sender<Arc<Operators>>,
}

/// Commits in a row whose answers are lost before another server may try, if there is one. Between two of them the engine
/// has been read: it is there, its answers are small, and what is large does not get to it (a wrong MTU on the way).
const MANY_UNANSWERED: u32 = 2;

/// The loop and what it owns.
pub(crate) struct Reactor {
    pub(crate) cloud: Cloud,
    pub(crate) store: Arc<dyn Store>,
    /// None while this server does not lead.
    pub(crate) leadership: Option<Leadership>,
    /// The copy of a server that is not alone.
    pub(crate) copy: Option<Copy>,
    /// How far the cores are with it, when this server begins as one that does not lead.
    pub(crate) view: View,
    /// Changes when that was wrong, since the cores were made of it.
    pub(crate) righted: Option<watch::Receiver<u64>>,
    pub(crate) wires: Wires,
    pub(crate) next_event: u64,
    /// This server, as others find it in the election.
    pub(crate) own: ServerRecord,
    /// How far behind it is with what agents say.
    pub(crate) hearing: Hearing,
    /// How fast it is.
    pub(crate) pace: Arc<Pace>,
    /// Commits in a row whose answers were lost.
    pub(crate) unanswered: u32,
}

/// What comes next.
pub(crate) enum Turn {
    /// The cores are fresh from the store.
    Begin,
    /// Decide.
    Go,
    /// Nothing can be decided until this server leads again.
    Seek(Seeking),
    /// It is over; with a reason if nobody asked for it.
    End(Option<Reason>),
}

impl Reactor {
    /// Runs until `token` is cancelled or leading is over.
    pub(crate) async fn run(mut self, token: CancellationToken) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        let mut turn = if self.leadership.is_some() { Turn::Begin } else { Turn::Seek(Seeking::following()) };
        let reason = loop {
            turn = match turn {
                Turn::Begin => {
                    self.wires.standing.send_replace(Standing::Leads);
                    if let Some(copy) = &self.copy {
                        copy.rest(true);
                    }
                    let mut round = Round::begin(clock::now());
                    self.cloud.begin(&mut round);
                    self.finish(round, Vec::new(), &mut backoff).await
                }
                Turn::Go => self.turn(&token, &mut backoff).await,
                Turn::Seek(seeking) => self.seek(&token, &seeking).await,
                Turn::End(reason) => break reason,
            };
        };
        if let Some(reason) = reason {
            tracing::error!(%reason, "control ends");
            self.wires.ended.send_replace(Some(reason));
        }
    }

    async fn turn(&mut self, token: &CancellationToken, backoff: &mut Backoff) -> Turn {
        let Some(leadership) = &self.leadership else { return Turn::Seek(Seeking::following()) };
        let mut answers = Vec::new();
        let wakeup = self.cloud.next_wakeup();
        let ended = self.store.ended();
        let mut round;
        let mut first = None;
        tokio::select! {
            biased;
            () = token.cancelled() => return Turn::End(None),
            () = leadership.lost() => return Turn::Seek(Seeking::following()),
            () = leading::deposed(self.copy.as_ref(), leadership) => return Turn::Seek(Seeking::following()),
            () = mistake(&mut self.righted) => return Turn::Seek(Seeking::mistaken()),
            gone = ended => return Turn::End(Some(Reason::new(gone.to_string()))),
            Some(job) = self.wires.jobs.recv() => {
                round = self.cloud.begin_round(clock::now());
                answers.push(job.run(&mut self.cloud, &mut round));
            }
            Some(message) = self.wires.agents.incoming.recv() => {
                round = self.cloud.begin_round(clock::now());
                first = Some(message);
            }
            Some(task) = self.wires.drained.recv() => {
                round = self.cloud.begin_round(clock::now());
                self.cloud.drained(task, &mut round);
            }
            // The cores have not said everything.
            () = std::future::ready(()), if !self.cloud.words.is_empty() => round = self.cloud.begin_round(clock::now()),
            () = clock::sleep_until(wakeup) => round = self.cloud.begin_round(clock::now()),
        }
        self.take_requests(&mut round, &mut answers);
        let (asked, before) = (round.batch.len(), self.cloud.work(&round));
        let mut intake = Intake::new(self.wires.agents.incoming.len(), before);
        self.take_waiting(first, &mut intake, &mut round);
        self.cloud.tick(&mut round);
        // As much again for what services make of it, however much the requests are.
        self.cloud.talk(asked + ROUND_OPS.max(2 * intake.work()), &mut round);
        self.finish(round, answers, backoff).await
    }

    /// People do not wait behind agents, of whom there may be many who speak at once, nor these behind people: a request
    /// may be for a thousand instances.
    fn take_requests(&mut self, round: &mut Round, answers: &mut Vec<Answer>) {
        while answers.len() < ROUND_JOBS
            && round.batch.len() + round.news.len() < REQUESTED_WORK
            && let Ok(job) = self.wires.jobs.try_recv()
        {
            answers.push(job.run(&mut self.cloud, round));
        }
    }

    /// Whatever else waits goes into the same commit.
    fn take_waiting(&mut self, first: Option<FromAgent>, intake: &mut Intake, round: &mut Round) {
        self.hear_agents(first, intake, round);
        while intake.takes(self.cloud.work(round))
            && let Ok(task) = self.wires.drained.try_recv()
        {
            self.cloud.drained(task, round);
        }
        self.note_backlog(0, self.unheard());
    }

    /// Words that wait to be heard. When no more fit in, each agent may have one that waits for room.
    fn unheard(&self) -> usize {
        let incoming = &self.wires.agents.incoming;
        let outside = if incoming.capacity() == 0 { self.cloud.kernel.view().agents().count() } else { 0 };
        incoming.len() + outside
    }

    fn note_backlog(&mut self, heard: usize, waiting: usize) {
        let unheard = self.hearing.heard(clock::since_boot(), heard, waiting);
        self.cloud.kernel.observe_backlog(unheard);
    }

    /// Hears what agents have said, as much as finds room. What it means for services is planned once all of it is heard.
    fn hear_agents(&mut self, first: Option<FromAgent>, intake: &mut Intake, round: &mut Round) {
        let mut heard = usize::from(first.is_some());
        self.note_backlog(0, heard + self.unheard());
        if let Some(message) = first {
            self.cloud.hear_agent(message, round);
        }
        while intake.takes(self.cloud.work(round))
            && let Ok(message) = self.wires.agents.incoming.try_recv()
        {
            self.cloud.hear_agent(message, round);
            heard += 1;
        }
        self.note_backlog(heard, self.unheard());
    }

    /// Persist, then send, then answer.
    async fn finish(&mut self, mut round: Round, answers: Vec<Answer>, backoff: &mut Backoff) -> Turn {
        let Some(leadership) = &self.leadership else { return Turn::Seek(Seeking::following()) };
        // A process that stood still learns late that another one leads: what it knows may be old, for readers too.
        if !leadership.holds() {
            let reason = Reason::new("this server does not lead any more").with_hint("try again");
            answers.into_iter().for_each(|answer| answer(Err(Refusal::NotLeader(reason.clone()))));
            return Turn::Seek(Seeking { is_dirty: true, ..Seeking::following() });
        }
        self.cloud.journal.save(&mut round.batch);
        let batch = std::mem::take(&mut round.batch);
        let changed = !batch.is_empty() || !round.is_empty();
        let (writes, decided) = (batch.len(), clock::now().saturating_since(round.now));
        if let Err(error) = batch.persist(self.store.as_ref(), &leadership.guard(), &self.pace).await {
            tracing::error!(%error, "a round of decisions could not be saved: none of it takes effect");
            for answer in answers {
                answer(Err(error.clone().into()));
            }
            return self.after(&error, backoff).await;
        }
        backoff.reset();
        if writes > 0 {
            self.unanswered = 0;
        }
        let took = clock::now().saturating_since(round.now);
        self.cloud.kernel.observe_delay(round.now, took);
        if took >= SLOW_ROUND {
            let unheard = self.unheard();
            tracing::warn!(?took, ?decided, writes, answers = answers.len(), unheard, "a round was slow");
        }
        self.send(round.outbox);
        self.publish(round.news);
        if changed {
            self.wires.changed.send_modify(|count| *count += 1);
        }
        for answer in answers {
            answer(Ok(()));
        }
        match (round.abdication, round.courtesy) {
            (Some(reason), _) => Turn::End(Some(reason)),
            (None, Some(courtesy)) => Turn::Seek(Seeking { courtesy, ..Seeking::following() }),
            (None, None) => Turn::Go,
        }
    }

    fn send(&self, outbox: Vec<(kogge_model::id::AgentId, kogge_model::link::ToAgent)>) {
        for (agent, body) in outbox {
            let message = FromControl {
                cluster: self.cloud.settings.cluster.clone(),
                term: self.cloud.settings.term,
                body,
            };
            self.wires.agents.outgoing.send(&agent, message);
        }
    }

    fn publish(&mut self, news: Vec<EventView>) {
        if let Some(table) = self.cloud.refresh_routing() {
            self.wires.routing.send_replace(table);
        }
        self.tell_members();
        for (run, task) in self.cloud.take_new_drains() {
            self.await_drain(run, task);
        }
        for mut event in news {
            self.next_event += 1;
            event.sequence = self.next_event;
            // No listener is no fault; a slow one loses the oldest and is told so.
            let _ = self.wires.events.send(event);
        }
    }

    /// Tells the doors who belongs to the cluster and who may come in, if that is news.
    pub(crate) fn tell_members(&mut self) {
        if let Some(members) = self.cloud.access.take_news() {
            self.wires.members.send_replace(members);
        }
        if !Arc::ptr_eq(&self.cloud.operators, &self.wires.operators.borrow()) {
            self.wires.operators.send_replace(Arc::clone(&self.cloud.operators));
        }
    }

    /// Whoever drains is killed as soon as it has nothing left to do. Its drain time bounds the wait.
    fn await_drain(&self, run: RunId, task: TaskId) {
        let drained = self.wires.drains.drained(self.cloud.discovery.table().generation(), run);
        let (out, token) = (self.wires.drained_out.clone(), self.wires.group.token());
        self.wires.group.spawn("drain", OnPanic::Log, async move {
            tokio::select! {
                () = token.cancelled() => {}
                // Without the reactor there is nobody to tell.
                () = drained => drop(out.send(task).await),
            }
        });
    }

    /// After a failed commit the cores know more than the store: they start again from what is durable. Agents say
    /// everything again until it is acknowledged, so nothing is lost.
    async fn after(&mut self, error: &CommitError, backoff: &mut Backoff) -> Turn {
        let reason = Reason::new(error.to_string());
        if matches!(error, CommitError::Conflict { .. }) {
            return Turn::Seek(Seeking { reason, is_dirty: true, ..Seeking::following() });
        }
        if matches!(error, CommitError::OutcomeUnknown { .. }) {
            self.unanswered = self.unanswered.saturating_add(1);
        }
        if self.unanswered >= MANY_UNANSWERED && self.copy.is_some() {
            self.unanswered = 0;
            tracing::warn!(%reason, "the lead is given up: the engine answers other questions, and no commits");
            return Turn::Seek(Seeking {
                reason,
                is_dirty: true,
                courtesy: leading::COURTESY,
                ..Seeking::following()
            });
        }
        tokio::time::sleep(backoff.wait()).await;
        let image = Image::read(self.store.as_ref()).await.map_err(LoadError::from);
        match image.and_then(|image| load::cloud(&image, self.cloud.settings.clone(), clock::now())) {
            Ok(cloud) => {
                self.cloud = cloud;
                Turn::Begin
            }
            Err(LoadError::Read(_)) => {
                let courtesy = Duration::ZERO;
                Turn::Seek(Seeking { reason, is_dirty: true, is_deposed: false, courtesy })
            }
            Err(error) => Turn::End(Some(Reason::new(error.to_string()))),
        }
    }
}

/// Resolves when the copy turns out to have been wrong.
async fn mistake(righted: &mut Option<watch::Receiver<u64>>) {
    if let Some(righted) = righted
        && righted.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}
