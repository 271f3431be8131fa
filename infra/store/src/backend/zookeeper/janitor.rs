//! The one process that ends leases and shortens the log for all.
//!
//! It is the first in a line like that of an election. A lease with a time is judged by its clock alone: a sign
//! of life is a change of the lease's node, which a recursive watch tells without asking. After a change of
//! office, and after a lost connection, every lease has its full time again.
//!
//! Being late is harmless here, and so is a former janitor that does not know yet: a lease ends only if its node
//! is still at the version that was looked at, and the log is shortened only while the own node stands.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{CommitError, LeaseId};

use super::candidate::{Candidate, Won};
use super::chance::Chance;
use super::checkpoint;
use super::engine::Engine;
use super::queue::{Action, Done};
use super::record::Holder;
use super::session::{Failure, Link};
use super::timers::Timers;

/// Between two tries of what failed.
pub(super) const RETRY: Duration = Duration::from_millis(200);
/// Leases ended at once.
const AT_ONCE: usize = 256;

/// Stands in line and works, until the group of tasks is told to end.
pub(super) async fn run(engine: Arc<Engine>, token: CancellationToken) {
    let mut chance = Chance::draw();
    let work = async {
        loop {
            let candidate = Candidate::new(&engine, engine.layout.janitors(), chance.name());
            match candidate.win().await {
                Ok(won) => hold_office(&engine, &won, &mut chance).await,
                Err(failure) => {
                    tracing::debug!(%failure, "cannot stand for janitor");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    };
    tokio::select! {
        () = token.cancelled() => {}
        _ = engine.gone() => {}
        () = work => {}
    }
}

async fn hold_office(engine: &Arc<Engine>, won: &Won, chance: &mut Chance) {
    tokio::select! {
        () = vanishes(engine, &won.node) => {}
        () = end_leases_in_time(engine) => {}
        () = end_leases_of_sessions(engine) => {}
        () = checkpoint::shorten_log(engine, &won.node, chance) => {}
    }
}

/// Returns when the node is gone.
async fn vanishes(engine: &Engine, node: &str) {
    loop {
        connected(engine).await;
        match engine.session.exists_watched(node.to_owned()).await {
            Ok((true, fired)) => {
                let _ = fired.await;
            }
            Ok((false, _)) => return,
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

async fn connected(engine: &Engine) {
    let mut link = engine.session.link();
    let _ = link.wait_for(|link| matches!(link, Link::Connected { .. })).await;
}

/// Leases with a time. Ends never.
async fn end_leases_in_time(engine: &Engine) {
    loop {
        connected(engine).await;
        match engine.session.watch_tree(engine.layout.leases()).await {
            Ok(signs) => Ward { engine, signs, timers: Timers::default() }.watch_over().await,
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

/// The leases, as long as one connection tells their signs of life.
struct Ward<'e> {
    engine: &'e Engine,
    signs: mpsc::Receiver<String>,
    timers: Timers,
}

impl Ward<'_> {
    async fn watch_over(mut self) {
        let mut table = self.engine.leases.subscribe();
        table.mark_changed();
        loop {
            let due = self.timers.next_due().map(tokio::time::Instant::from_std);
            tokio::select! {
                sign = self.signs.recv() => match sign {
                    Some(path) => self.sign(&path),
                    None => return,
                },
                changed = table.changed() => match changed {
                    Ok(()) => self.look_at_table(),
                    Err(_) => return,
                },
                () = sleep_until(due) => if self.end_due().await.is_err() {
                    return;
                },
            }
        }
    }

    fn sign(&mut self, path: &str) {
        if let Some(lease) = self.engine.layout.lease_at(path) {
            self.timers.alive(lease, Instant::now());
        }
    }

    fn look_at_table(&mut self) {
        let copy = self.engine.copy();
        let timed = copy.leases().filter_map(|(lease, living)| match living.holder {
            Holder::Ttl { ttl_ms } => Some((lease, Duration::from_millis(ttl_ms))),
            Holder::Node { .. } => None,
        });
        self.timers.set(timed, Instant::now());
    }

    async fn end_due(&mut self) -> Result<(), Failure> {
        let engine = self.engine;
        let due = self.timers.due(Instant::now(), AT_ONCE);
        let looks = join_all(due.iter().map(|&lease| engine.session.stat(engine.layout.lease(lease))));
        let stats: Vec<_> = looks.await.into_iter().collect::<Result<_, _>>()?;
        // Every sign of life that those looks have seen was told before they were answered.
        while let Ok(path) = self.signs.try_recv() {
            self.sign(&path);
        }
        let now = Instant::now();
        let ends = due.into_iter().zip(stats).filter(|&(lease, _)| self.timers.is_due(lease, now));
        let ends = ends.map(|(lease, stat)| async move {
            let version = stat.map_or(-1, |stat| stat.version);
            (lease, engine.ask(Action::Expire { lease, version }).await)
        });
        let ended: Vec<(LeaseId, Result<Done, CommitError>)> = join_all(ends).await;
        for (lease, outcome) in ended {
            match outcome {
                Ok(Done::Alive) => self.timers.alive(lease, Instant::now()),
                // When the lease has ended the table tells.
                _ => self.timers.retry(lease, Instant::now() + RETRY),
            }
        }
        Ok(())
    }
}

async fn sleep_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Leases that live as long as a node: when nobody is in line behind it, somebody else must see that it is gone.
/// Ends never.
async fn end_leases_of_sessions(engine: &Engine) {
    let mut table = engine.leases.subscribe();
    table.mark_changed();
    let mut known = std::collections::BTreeSet::new();
    let mut watched = FuturesUnordered::new();
    loop {
        let lease = tokio::select! {
            changed = table.changed() => {
                if changed.is_err() {
                    return;
                }
                let held: Vec<LeaseId> = engine.copy().leases()
                    .filter(|(_, living)| matches!(living.holder, Holder::Node { .. }))
                    .map(|(lease, _)| lease).collect();
                known.retain(|lease| held.contains(lease));
                for lease in held {
                    if known.insert(lease) {
                        watched.push(node_vanishes(engine, lease));
                    }
                }
                continue;
            }
            Some(lease) = watched.next() => lease,
        };
        if known.contains(&lease)
            && let Err(error) = engine.ask(Action::Revoke(lease)).await
            && !matches!(error, CommitError::LeaseEnded { .. })
        {
            tokio::time::sleep(RETRY).await;
            watched.push(node_vanishes(engine, lease));
        }
    }
}

async fn node_vanishes(engine: &Engine, lease: LeaseId) -> LeaseId {
    let node = engine.copy().lease(lease).and_then(|living| match &living.holder {
        Holder::Node { path } => Some(path.clone()),
        Holder::Ttl { .. } => None,
    });
    if let Some(node) = node {
        vanishes(engine, &node).await;
    }
    lease
}
