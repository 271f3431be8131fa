//! What callers, watches, the keeper and the janitor share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use kogge_host::tasks::TaskGroup;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{CommitError, LeaseId, Page, Range, ReadError, Revision, Unavailable};

use super::Options;
use super::config::Host;
use super::copy::Copy;
use super::dial::Dialer;
use super::head::Head;
use super::layout::Layout;
use super::pins::{Pins, page_of};
use super::queue::{Action, Done, Queue};
use super::record::Change;
use super::session::{Link, Session};

/// How long the ensemble may be away before requests are refused instead of waiting for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// How far this process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) revision: Revision,
    /// There will be no more.
    pub(super) has_ended: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) session: Session,
    pub(super) layout: Layout,
    pub(super) options: Options,
    pub(super) queue: Queue,
    copy: RwLock<Copy>,
    pub(super) seen: watch::Sender<Seen>,
    /// The head as the keeper knows it.
    pub(super) head: watch::Sender<Head>,
    /// Counts changes of the table of leases.
    pub(super) leases: watch::Sender<u64>,
    /// Who leads here: told when the lease ends.
    leading: Mutex<BTreeMap<LeaseId, CancellationToken>>,
    pins: Mutex<Pins>,
    pub(super) ended: watch::Sender<Option<Unavailable>>,
    pub(super) tasks: TaskGroup,
    pub(super) dialer: Dialer,
    pub(super) hosts: Vec<Host>,
}

impl Engine {
    pub(super) fn new(
        session: Session,
        layout: Layout,
        options: Options,
        tasks: TaskGroup,
        dialer: Dialer,
        hosts: Vec<Host>,
    ) -> Self {
        let seen = watch::Sender::new(Seen { revision: Revision::ZERO, has_ended: false });
        Self {
            session,
            layout,
            options,
            queue: Queue::new(),
            copy: RwLock::new(Copy::empty(options.bounds())),
            seen,
            head: watch::Sender::new(Head::EMPTY),
            leases: watch::Sender::new(0),
            leading: Mutex::default(),
            pins: Mutex::default(),
            ended: watch::Sender::new(None),
            tasks,
            dialer,
            hosts,
        }
    }

    /// Hands an action to the keeper and waits for its answer.
    pub(super) async fn ask(&self, action: Action) -> Result<Done, CommitError> {
        if let Some(why) = self.why_refused() {
            return Err(CommitError::Unavailable(why));
        }
        let Some(answer) = self.queue.push(action).await else {
            return Err(CommitError::Unavailable(self.why_unavailable()));
        };
        match answer.await {
            Ok(reply) => reply,
            Err(_) => Err(CommitError::OutcomeUnknown { reason: self.why_unavailable().reason }),
        }
    }

    /// Returns when the copy has everything that was acknowledged before.
    pub(super) async fn catch_up(&self) -> Result<(), ReadError> {
        match self.ask(Action::Barrier).await {
            Ok(_) => Ok(()),
            Err(CommitError::Unavailable(unavailable)) => Err(unavailable.into()),
            Err(error) => Err(Unavailable::new(error.to_string()).into()),
        }
    }

    /// Why nothing is even tried.
    fn why_refused(&self) -> Option<Unavailable> {
        if self.ended.borrow().is_some() {
            return Some(self.why_unavailable());
        }
        match &*self.session.link().borrow() {
            Link::Away { since, reason } if since.elapsed() > PATIENCE => Some(away(reason)),
            Link::Ended { reason } => Some(Unavailable::new(Arc::clone(reason))),
            Link::Away { .. } | Link::Connected { .. } => None,
        }
    }

    pub(super) fn copy(&self) -> RwLockReadGuard<'_, Copy> {
        self.copy.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies the next record. Only the keeper does.
    pub(super) fn apply(&self, changes: &[Change]) {
        let mut copy = self.copy.write().unwrap_or_else(PoisonError::into_inner);
        let applied = copy.apply(changes);
        let revision = copy.revision;
        drop(copy);
        self.seen.send_if_modified(|seen| {
            let is_new = seen.revision != revision;
            seen.revision = revision;
            is_new
        });
        if applied.has_leases {
            let mut leading = self.leading();
            for lease in applied.ended {
                if let Some(lost) = leading.remove(&lease) {
                    lost.cancel();
                }
            }
            drop(leading);
            self.leases.send_modify(|count| *count += 1);
        }
    }

    /// Takes another copy instead: the log did not reach back to the old one. Only the keeper does.
    pub(super) fn replace(&self, new: Copy) {
        let revision = new.revision;
        let mut copy = self.copy.write().unwrap_or_else(PoisonError::into_inner);
        *copy = new;
        let mut leading = self.leading();
        leading.retain(|&lease, lost| {
            let lives = copy.lease(lease).is_some();
            if !lives {
                lost.cancel();
            }
            lives
        });
        drop((copy, leading));
        self.seen.send_modify(|seen| seen.revision = revision);
        self.leases.send_modify(|count| *count += 1);
    }

    /// `lost` is cancelled when the lease ends, which may have happened already.
    pub(super) fn tell_end(&self, lease: LeaseId, lost: CancellationToken) {
        let copy = self.copy();
        match copy.lease(lease) {
            Some(_) => {
                self.leading().insert(lease, lost);
            }
            None => lost.cancel(),
        }
    }

    pub(super) fn page(&self, range: &Range) -> Result<Page, ReadError> {
        let now = Instant::now();
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        pins.drop_old(now);
        if let Some(at) = range.at
            && let Some(list) = pins.find(at, &range.prefix, now)
        {
            drop(pins);
            return Ok(page_of(&list, at, range));
        }
        drop(pins);
        let copy = self.copy();
        if let Some(asked) = range.at.filter(|&at| at != copy.revision) {
            return Err(ReadError::Compacted { asked });
        }
        let page = copy.page(range);
        if !page.more {
            return Ok(page);
        }
        let list = copy.page(&Range::prefix(range.prefix.clone())).entries;
        drop(copy);
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        pins.keep(page.revision, range.prefix.clone(), Arc::new(list), now);
        Ok(page)
    }

    /// The engine is over, for everybody. Only the first reason counts.
    pub(super) fn end(&self, reason: &str) {
        self.ended.send_if_modified(|ended| {
            let is_first = ended.is_none();
            ended.get_or_insert_with(|| Unavailable::new(reason));
            is_first
        });
        self.queue.close();
        self.seen.send_modify(|seen| seen.has_ended = true);
        for lost in std::mem::take(&mut *self.leading()).into_values() {
            lost.cancel();
        }
    }

    /// Resolves, with the reason, when the engine is over.
    pub(super) fn gone(&self) -> impl Future<Output = Unavailable> + Send + 'static {
        let mut ended = self.ended.subscribe();
        async move {
            let reason = ended.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
            reason.unwrap_or_else(|| Unavailable::new("it is gone"))
        }
    }

    /// Why nothing is answered any more.
    pub(super) fn why_unavailable(&self) -> Unavailable {
        self.ended.borrow().clone().unwrap_or_else(|| Unavailable::new("the state engine is closing"))
    }

    fn leading(&self) -> MutexGuard<'_, BTreeMap<LeaseId, CancellationToken>> {
        self.leading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ensemble is away.
pub(super) fn away(reason: &str) -> Unavailable {
    Unavailable::new(format!("zookeeper is away: {reason}"))
}
