//! Not leading: a standby, or a server that lost the lead or the engine.
//!
//! Nothing can be decided meanwhile, and nothing needs to be: tasks and routers go on with what they have. What can be
//! looked at is shown, writes are turned away at once with the reason. Agents are not heard; they say everything again.
//! A standby shows its copy of the state, as new as the store if that answers: the cores go on with it when somebody
//! looks (`view.rs`), so that following a busy leader costs little. Its doors know at once who may come in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kogge_host::backoff::Backoff;
use kogge_host::clock;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_model::id::Term;
use kogge_model::reason::Reason;
use kogge_store::{Leadership, ReadError, Revision, Store};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::copy::{Copy, Reached};
use crate::hearing::Hearing;
use crate::image::Image;
use crate::job::Job;
use crate::leading::COURTESY;
use crate::load::{self, LoadError};
use crate::reactor::{ROUND_JOBS, Reactor, Turn};
use crate::refusal::Refusal;
use crate::round::Round;
use crate::servers;
use crate::settings::Settings;
use crate::standing::{ServerRecord, Standing};
use crate::state_digest::StateDigest;
use crate::view::View;

/// News are told for at most this part of the time; those who hear it look at the copy, which costs as much.
const LOOK_SHARE: u32 = 10;
/// And at most so often.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(50);
/// When there was no news for so long, the cores are made before anybody looks, or this server leads.
const CALM: Duration = Duration::from_secs(5);
/// And when it never is calm, so long after this server has begun to follow,
const FIRST: Duration = Duration::from_secs(1);
/// and after they were given up for too much news.
const LATEST: Duration = Duration::from_secs(30);

/// Why the reactor decides nothing.
#[derive(Debug)]
pub(crate) struct Seeking {
    /// For those whose writes are turned away.
    pub(crate) reason: Reason,
    /// Whether the cores know of things that were not saved, and must not be looked at.
    pub(crate) is_dirty: bool,
    /// Whether this server must be elected again.
    pub(crate) is_deposed: bool,
    /// How long others are let through first.
    pub(crate) courtesy: Duration,
}

impl Seeking {
    /// Another server leads, or nobody does yet.
    pub(crate) fn following() -> Self {
        let reason = Reason::new("this server does not lead");
        Self { reason, is_dirty: false, is_deposed: true, courtesy: Duration::ZERO }
    }

    /// What this leader decided may rest on a copy that was wrong: it begins anew, after whoever is there.
    pub(crate) fn mistaken() -> Self {
        let reason = Reason::new("this server's copy of the state was wrong");
        Self { reason, is_dirty: true, courtesy: COURTESY, ..Self::following() }
    }

    fn refusal(&self) -> Refusal {
        let reason = self.reason.clone();
        if self.is_deposed { Refusal::NotLeader(reason) } else { Refusal::Unavailable(reason) }
    }
}

/// What is shown while this server does not lead.
struct Show {
    is_dirty: bool,
    view: View,
    /// What the copy contained when somebody was last told that there is news.
    told: Option<StateDigest>,
    /// When what the doors know of members and operators last changed.
    access: Option<Revision>,
    not_before: Instant,
    /// When nothing may have happened for long enough to prepare what comes.
    calm_at: Instant,
    /// When it is prepared all the same.
    latest: Instant,
}

impl Show {
    /// What took so long since `began` is not done again at once.
    fn rest(&mut self, began: Instant) {
        let rest = LOOK_AT_MOST_EVERY.max(began.elapsed() * LOOK_SHARE);
        self.not_before = self.not_before.max(Instant::now() + rest);
    }
}

/// Leading again, with what stands in the engine.
struct Regained {
    leadership: Option<Leadership>,
    settings: Settings,
    /// What stands in the engine; none if the copy has caught up.
    image: Option<Arc<Image>>,
    righted: Option<watch::Receiver<u64>>,
}

impl Reactor {
    /// Waits until this server leads.
    pub(crate) async fn seek(&mut self, token: &CancellationToken, seeking: &Seeking) -> Turn {
        tracing::warn!(reason = %seeking.reason, "nothing can be decided here: everything else goes on");
        if seeking.is_deposed {
            self.leadership = None;
        }
        if let Some(copy) = &self.copy {
            copy.rest(false);
        }
        let seeker = Seeker {
            store: Arc::clone(&self.store),
            settings: Settings { is_founder: false, ..self.cloud.settings.clone() },
            own: self.own.clone(),
            copy: self.copy.clone(),
        };
        let mut regained = seeker.start(seeking, &self.wires.group);
        let mut show = Show {
            is_dirty: seeking.is_dirty,
            view: std::mem::take(&mut self.view),
            told: None,
            access: None,
            not_before: Instant::now(),
            calm_at: Instant::now() + CALM,
            latest: Instant::now() + FIRST,
        };
        let mut reached = self.copy.as_ref().map(Copy::reached);
        let mut moved = self.copy.as_ref().map(Copy::reached);
        // The copy may begin with something.
        reached.iter_mut().for_each(watch::Receiver::mark_changed);
        self.tell_standing();
        let regained = loop {
            let ended = self.store.ended();
            let news = async {
                tokio::time::sleep_until(show.not_before.into()).await;
                next(&mut reached).await;
            };
            tokio::select! {
                biased;
                () = token.cancelled() => return Turn::End(None),
                gone = ended => return Turn::End(Some(Reason::new(gone.to_string()))),
                result = &mut regained => match result {
                    Ok(result) => break result,
                    // Its task ends before it has an answer only when everything does.
                    Err(_) => return Turn::End(None),
                },
                // Before anything that readers, of whom there may be many, could hold up: they are passed on to whoever leads.
                () = next(&mut moved) => self.tell_standing(),
                Some(job) = self.wires.jobs.recv() => self.show(job, &mut show, seeking).await,
                Some(_) = self.wires.agents.incoming.recv() => {}
                Some(_) = self.wires.drained.recv() => {}
                made = show.view.made(&mut self.cloud) => self.show_made(made, &mut show),
                () = news => self.tell_news(&mut show),
                () = tokio::time::sleep_until(show.calm_at.into()) => self.prepare(&mut show),
            }
        };
        match regained {
            Err(reason) => Turn::End(Some(reason)),
            Ok(Regained { leadership, settings, image, righted }) => {
                let (began, is_ready) = (Instant::now(), show.view.is_ready());
                let taken = match (image, &self.copy) {
                    (None, Some(copy)) => show.view.lead(copy, &mut self.cloud, settings).await,
                    (image, _) => load::cloud_aside(image.unwrap_or_default(), settings, Arc::default())
                        .await
                        .map(|cloud| self.cloud = cloud),
                };
                if let Err(error) = taken {
                    return Turn::End(Some(Reason::new(error.to_string())));
                }
                self.righted = righted;
                if leadership.is_some() {
                    self.leadership = leadership;
                    self.pace.lead(Instant::now());
                }
                self.hearing = Hearing::new(clock::since_boot());
                let (term, took) = (self.cloud.settings.term, began.elapsed());
                tracing::info!(%term, is_ready, ?took, "this server leads");
                Turn::Begin
            }
        }
    }

    /// Answers a request, and whatever waits behind it, from what is here: one question to the store serves all.
    async fn show(&mut self, first: Job, show: &mut Show, seeking: &Seeking) {
        let mut looks = Vec::new();
        let mut next = Some(first);
        while let Some(job) = next {
            if job.is_change() {
                job.refuse(seeking.refusal());
            } else {
                looks.push(job);
            }
            next = if looks.len() < 2 * ROUND_JOBS { self.wires.jobs.try_recv().ok() } else { None };
        }
        if let Some(copy) = &self.copy
            && !looks.is_empty()
        {
            copy.catch_up().await;
            self.refresh(show).await;
        }
        for job in looks {
            if show.is_dirty {
                job.refuse(seeking.refusal());
            } else {
                job.run(&mut self.cloud, &mut Round::begin(clock::now()))(Ok(()));
            }
        }
    }

    /// Tells that the copy has gone on to whoever waits for that; the doors, who may come in.
    fn tell_news(&mut self, show: &mut Show) {
        let Some(copy) = self.copy.clone() else { return };
        let began = Instant::now();
        let (digest, access) = {
            let image = copy.image();
            let known = show.access.replace(image.access_changed());
            let is_news = known != show.access && image.revision() != Revision::ZERO;
            (image.digest(), is_news.then(|| Ok((load::access(&image)?, load::operators(&image)?))))
        };
        match access.transpose() {
            Ok(Some((access, operators))) => {
                (self.cloud.access, self.cloud.operators) = (access, operators);
                self.tell_members();
            }
            Ok(None) => {}
            Err::<_, LoadError>(error) => tracing::error!(%error, "who may come in cannot be read"),
        }
        if show.told.replace(digest) != Some(digest) {
            self.wires.changed.send_modify(|count| *count += 1);
            show.calm_at = show.latest.min(Instant::now() + CALM);
        }
        if let Err(error) = show.view.go_on(&copy, &mut self.cloud) {
            tracing::error!(%error, "the copy of the state cannot be shown");
        }
        show.rest(began);
    }

    /// Has the cores made in time.
    fn prepare(&self, show: &mut Show) {
        (show.calm_at, show.latest) = (Instant::now() + CALM, Instant::now() + LATEST);
        if let Some(copy) = &self.copy {
            show.view.prepare(copy, &self.cloud);
        }
    }

    fn show_made(&mut self, made: Result<(), LoadError>, show: &mut Show) {
        match made {
            Ok(()) => {
                show.is_dirty = false;
                self.tell_members();
            }
            Err(error) => tracing::error!(%error, "the copy of the state cannot be shown"),
        }
    }

    /// Makes the cores those of the copy, if that has something else.
    async fn refresh(&mut self, show: &mut Show) {
        let Some(copy) = &self.copy else { return };
        let began = Instant::now();
        let made = match show.view.refresh(copy, &mut self.cloud).await {
            Ok(false) => return,
            Ok(true) => Ok(()),
            Err(error) => Err(error),
        };
        self.show_made(made, show);
        show.rest(began);
    }

    /// Tells who leads to whoever wants to know.
    fn tell_standing(&self) {
        let leader = self.copy.as_ref().and_then(|copy| servers::elected(&copy.image())?.server);
        let standing = match leader {
            Some(leader) if leader.name == self.own.name => Standing::TakesOver,
            leader => Standing::Follows(leader),
        };
        self.wires.standing.send_if_modified(|known| {
            let is_news = *known != standing;
            *known = standing;
            is_news
        });
    }
}

/// Until the copy has gone on; for ever if there is none.
async fn next(reached: &mut Option<watch::Receiver<Reached>>) {
    if let Some(reached) = reached
        && reached.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// Tries to lead.
struct Seeker {
    store: Arc<dyn Store>,
    settings: Settings,
    own: ServerRecord,
    copy: Option<Copy>,
}

impl Seeker {
    /// Tries in a task of its own: what is shown meanwhile must not hold it up. Dropping the answer ends it.
    fn start(self, seeking: &Seeking, group: &TaskGroup) -> oneshot::Receiver<Result<Regained, Reason>> {
        let (mut answer, answered) = oneshot::channel();
        let (is_deposed, courtesy) = (seeking.is_deposed, seeking.courtesy);
        group.spawn("candidate", OnPanic::StopGroup, async move {
            let regained = tokio::select! {
                regained = self.regain(is_deposed, courtesy) => regained,
                () = answer.closed() => return,
            };
            // Nobody wants to lead any more: what was won is given up.
            let _ = answer.send(regained);
        });
        answered
    }

    /// Tries until it succeeds, or until what stands in the engine is not ours to lead with.
    async fn regain(mut self, is_deposed: bool, courtesy: Duration) -> Result<Regained, Reason> {
        self.let_through(courtesy).await;
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        let mut leadership = None;
        loop {
            if is_deposed && leadership.is_none() {
                match self.store.campaign(load::ELECTION, self.own.to_bytes()).await {
                    Ok(won) => leadership = Some(won),
                    Err(error) => tracing::debug!(%error, "not elected yet"),
                }
            }
            if leadership.is_some() || !is_deposed {
                let righted = self.copy.as_ref().map(Copy::righted);
                match self.take_over(leadership.as_ref()).await {
                    Ok(image) => {
                        return Ok(Regained { leadership, settings: self.settings, image, righted });
                    }
                    Err(LoadError::Read(ReadError::Unavailable(gone))) => {
                        tracing::debug!(%gone, "the state cannot be read yet");
                    }
                    Err(LoadError::Read(ReadError::Compacted { .. })) => {}
                    Err(error) => return Err(Reason::new(error.to_string())),
                }
            }
            tokio::time::sleep(backoff.wait()).await;
        }
    }

    /// Waits until another server is elected: then this one may be the next again, should that one step down too.
    async fn let_through(&self, courtesy: Duration) {
        let Some(copy) = &self.copy else { return tokio::time::sleep(courtesy).await };
        let mut reached = copy.reached();
        let is_other = |server: ServerRecord| server.name != self.own.name;
        let elected = async {
            while !servers::elected(&copy.image()).and_then(|one| one.server).is_some_and(is_other) {
                if reached.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        // Nobody else may be there.
        let _ = tokio::time::timeout(courtesy, elected).await;
    }

    /// What stands in the engine, unless the copy has it, for the term of `leadership` if that is a new one.
    async fn take_over(&mut self, leadership: Option<&Leadership>) -> Result<Option<Arc<Image>>, LoadError> {
        // Nobody else writes any more: a copy that has caught up since the election is the whole truth.
        let catch_up = async {
            match &self.copy {
                Some(copy) => copy.catch_up().await,
                None => false,
            }
        };
        let (record, is_whole) = tokio::join!(load::known_cluster(self.store.as_ref()), catch_up);
        let record = record?.filter(|record| record.cluster == self.settings.cluster);
        let record = record.ok_or(LoadError::Foreign)?;
        if let Some(leadership) = leadership {
            self.settings.term = Term(record.term_base.saturating_add(leadership.fence()));
        }
        if is_whole {
            return Ok(None);
        }
        let read = Image::read(self.store.as_ref());
        let Some(copy) = &self.copy else { return Ok(Some(Arc::new(read.await?))) };
        tokio::select! {
            read = read => Ok(Some(Arc::new(read?))),
            // Late, and still before everything was read anew.
            Some(()) = copy.caught_up() => Ok(None),
        }
    }
}
