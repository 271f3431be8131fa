//! The router as its owner sees it: start it, give it listeners and tables, ask it, stop it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use kogge_discovery::RoutingTable;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_model::id::{Generation, RunId, TaskId};
use kogge_model::name::{InstanceId, ServiceId};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::backend::Lease;
use crate::balance;
use crate::client_connection::{Order, Scheme};
use crate::clock::CoarseClock;
use crate::config::RouterConfig;
use crate::connections::Connections;
use crate::failure::Failure;
use crate::fleet::{Fleet, Snapshot};
use crate::loops;
use crate::request_id::RequestIds;
use crate::traffic::TrafficReading;

/// How long a client that has connected but not asked yet may still do so while the router ends.
const LAST_REQUEST_PATIENCE: Duration = Duration::from_millis(300);

/// A running router. Clones are the same router.
#[derive(Debug, Clone)]
pub struct Router {
    inner: Arc<Inner>,
}

/// What all tasks of a router share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: RouterConfig,
    pub(crate) clock: CoarseClock,
    pub(crate) ids: RequestIds,
    pub(crate) connections: Connections,
    /// Acceptors, the sweeper, whoever follows the tables.
    pub(crate) loops: TaskGroup,
    /// Client connections, streams and tunnels.
    pub(crate) clients: TaskGroup,
    snapshot: ArcSwap<Snapshot>,
    fleet: Mutex<Fleet>,
    applied: watch::Sender<Generation>,
    unrouted: AtomicU64,
}

/// Why a router did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// There is no secret for request ids.
    #[error("cannot draw randomness for request ids")]
    Randomness(#[source] std::io::Error),
}

/// One instance as the router sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceTraffic {
    /// Which copy of which service.
    pub instance: InstanceId,
    /// Its task.
    pub task: TaskId,
    /// Its launch.
    pub run: RunId,
    /// Where its requests go.
    pub endpoint: SocketAddr,
    /// Requests and tunnels that are not over.
    pub in_flight: usize,
    /// The newest table does not name it: it gets no new request.
    pub is_retired: bool,
}

impl Router {
    /// Starts a router without listeners, within `parent`, that obeys the newest of `tables`.
    ///
    /// # Errors
    /// When the kernel gives no randomness.
    pub fn start(
        parent: &TaskGroup,
        config: RouterConfig,
        tables: watch::Receiver<Arc<RoutingTable>>,
    ) -> Result<Self, StartError> {
        let inner = Arc::new(Inner {
            clock: CoarseClock::new(),
            ids: RequestIds::new().map_err(StartError::Randomness)?,
            connections: Connections::default(),
            loops: parent.child("router"),
            clients: TaskGroup::new("router clients"),
            snapshot: ArcSwap::default(),
            fleet: Mutex::default(),
            applied: watch::Sender::new(Generation::default()),
            unrouted: AtomicU64::new(0),
            config,
        });
        // The first table is in force before the first listener can be given.
        let table = Arc::clone(&tables.borrow());
        inner.apply(table);
        let group = &inner.loops;
        drop(group.spawn("tables", OnPanic::StopGroup, loops::tables::run(Arc::clone(&inner), tables)));
        drop(group.spawn("sweeper", OnPanic::StopGroup, loops::sweep::run(Arc::clone(&inner))));
        Ok(Self { inner })
    }

    /// Serves HTTP/1.1 and HTTP/2 (by prior knowledge) on `listener`.
    pub fn serve(&self, listener: TcpListener) {
        let accept = loops::accept::run(Arc::clone(&self.inner), listener, Scheme::Http);
        drop(self.inner.loops.spawn("accept", OnPanic::StopGroup, accept));
    }

    /// The generation of the table in force. Whoever drains an instance waits until this is at least the generation
    /// that no longer names it.
    #[must_use]
    pub fn generation(&self) -> Generation {
        *self.inner.applied.borrow()
    }

    /// Resolves when a table of at least `generation` is in force and no request to the instance `run` is in flight.
    /// From then on it gets no request any more, if that table does not name it; if it does, the wait goes on.
    pub async fn drained(&self, generation: Generation, run: RunId) {
        let mut applied = self.inner.applied.subscribe();
        // The sender lives as long as this router.
        let _ = applied.wait_for(|applied| *applied >= generation).await;
        let backends: Vec<_> =
            self.inner.fleet().backends().filter(|backend| backend.run == run).cloned().collect();
        for backend in backends {
            backend.drained().await;
        }
    }

    /// Every instance that a table names or that has requests in flight.
    #[must_use]
    pub fn instances(&self) -> Vec<InstanceTraffic> {
        let fleet = self.inner.fleet();
        let traffic = fleet.backends().map(|backend| InstanceTraffic {
            instance: backend.instance.clone(),
            task: backend.task.clone(),
            run: backend.run,
            endpoint: backend.endpoint,
            in_flight: backend.in_flight(),
            is_retired: backend.is_retired(),
        });
        traffic.collect()
    }

    /// The counters of every known service.
    #[must_use]
    pub fn traffic(&self) -> Vec<(ServiceId, TrafficReading)> {
        let fleet = self.inner.fleet();
        fleet.traffic().map(|(service, traffic)| (service.clone(), traffic.read())).collect()
    }

    /// Requests for hosts and paths that no route covers.
    #[must_use]
    pub fn unrouted_requests(&self) -> u64 {
        self.inner.unrouted.load(Ordering::Relaxed)
    }

    /// Open client connections, tunnels included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.inner.connections.count()
    }

    /// Stops accepting, lets every request under way finish, and ends. What is not over after `deadline` is cut off;
    /// the names of those tasks are returned.
    pub async fn shutdown(&self, deadline: Duration) -> Vec<String> {
        let end = tokio::time::Instant::now() + deadline;
        let left = |end: tokio::time::Instant| end.saturating_duration_since(tokio::time::Instant::now());
        // The sweeper ends here too; the deadline stands in for its times.
        let mut laggards = self.inner.loops.shutdown(deadline).await;
        let open = self.inner.connections.all();
        let (asked, silent): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|connection| connection.has_begun());
        asked.iter().for_each(|connection| connection.give(Order::Finish));
        if !silent.is_empty() {
            tokio::time::sleep(LAST_REQUEST_PATIENCE.min(left(end))).await;
        }
        silent.iter().for_each(|connection| connection.give(Order::Finish));
        drop((asked, silent));
        laggards.extend(self.inner.clients.shutdown(left(end)).await);
        self.inner.fleet().backends().for_each(|backend| backend.pool.clear());
        laggards
    }
}

impl Inner {
    /// Puts `table` into force, unless it is older than the one that is.
    pub(crate) fn apply(&self, table: Arc<RoutingTable>) {
        let generation = table.generation();
        let mut fleet = self.fleet();
        if generation < *self.applied.borrow() {
            tracing::warn!(%generation, "routing table is older than the one in force, ignored");
            return;
        }
        let snapshot = Arc::new(fleet.snapshot(table, &self.config));
        self.snapshot.store(Arc::clone(&snapshot));
        // Only now: a request that meets a retired backend looks again, and finds the snapshot without it.
        fleet.retire_all_but(&snapshot);
        self.applied.send_replace(generation);
    }

    /// The right to send a request for `host` and `path` to one instance.
    pub(crate) fn admit(&self, host: &str, path: &str) -> Result<Lease, Failure> {
        loop {
            let snapshot = self.snapshot.load();
            let Some(position) = snapshot.table.find(host, path) else {
                self.unrouted.fetch_add(1, Ordering::Relaxed);
                return Err(Failure::no_route(host, path));
            };
            let service = &snapshot.services[position];
            let Some(backend) = balance::choose(&service.backends, self.clock.now_ms(), None) else {
                let route = &snapshot.table.services()[position];
                let traffic = Arc::clone(&service.traffic);
                return Err(Failure::no_backend(&route.service, &route.why_no_backend, traffic));
            };
            // Retired meanwhile means that a newer snapshot is in force: look again.
            if let Some(lease) = Lease::take(backend) {
                return Ok(lease);
            }
        }
    }

    /// The right to send the request of `tried` to another instance of the same service, if there is one.
    pub(crate) fn admit_elsewhere(&self, tried: &Lease) -> Option<Lease> {
        loop {
            let snapshot = self.snapshot.load();
            let services = snapshot.table.services();
            let wanted = &tried.instance.service;
            let position = services.binary_search_by(|route| route.service.cmp(wanted)).ok()?;
            let backends = &snapshot.services[position].backends;
            let backend = balance::choose(backends, self.clock.now_ms(), Some(tried))?;
            if std::ptr::eq(Arc::as_ptr(backend), &raw const **tried) {
                return None;
            }
            if let Some(lease) = Lease::take(backend) {
                return Some(lease);
            }
        }
    }

    /// Closes unused connections to backends that are too old; tells how many are left.
    pub(crate) fn sweep_pools(&self, now_ms: u64) -> usize {
        self.fleet().backends().map(|backend| backend.pool.sweep(now_ms)).sum()
    }

    fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
