//! Connections to the servers that do not lead, made while there is time. When the leader dies, thousands of agents
//! reach the next one without a handshake each, which would keep it busy for a minute; and whoever does not lead says
//! who does on the same connection.
//!
//! Nothing is said on a spare connection: only the server asks for a sign of life now and then, and TCP does.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::connection::Reached;
use super::shared::Shared;
use crate::address::ServerAddress;
use crate::bounds::MAX_SPARES;
use crate::timing::jitter;

/// So many times as long as a connection took to make, there is a pause: servers that are slow have much to do.
const PAUSES: u32 = 50;

/// Those that stand, by the server they lead to: none to the server of the session.
pub(super) struct Spares {
    table: Mutex<BTreeMap<ServerAddress, Reached>>,
    count: watch::Sender<usize>,
}

impl Default for Spares {
    fn default() -> Self {
        Self { table: Mutex::default(), count: watch::Sender::new(0) }
    }
}

impl Spares {
    /// How many there are, now and from now on.
    pub(super) fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// Takes the one to `server` for a session, if it still stands.
    pub(super) fn take(&self, server: &ServerAddress) -> Option<Reached> {
        self.change(|table| table.remove(server)).filter(Reached::is_open)
    }

    /// Whether there is one to `server`, as far as is known.
    pub(super) fn stands(&self, server: &ServerAddress) -> bool {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.get(server).is_some_and(Reached::is_open)
    }

    /// Keeps one for later.
    pub(super) fn keep(&self, server: &ServerAddress, reached: Reached) {
        self.change(|table| {
            if table.len() < MAX_SPARES && reached.is_open() {
                table.insert(server.clone(), reached);
            }
        });
    }

    /// Closes all: they were made under an identity that is not in use any more.
    pub(super) fn clear(&self) {
        self.change(BTreeMap::clear);
    }

    /// Closes those to servers that are not `wanted`; tells which of these has none.
    fn missing(&self, wanted: &[ServerAddress]) -> Option<ServerAddress> {
        self.change(|table| {
            table.retain(|server, reached| reached.is_open() && wanted.contains(server));
            let has_room = table.len() < MAX_SPARES;
            wanted.iter().find(|server| has_room && !table.contains_key(*server)).cloned()
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<ServerAddress, Reached>) -> T) -> T {
        let mut table: MutexGuard<'_, _> = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut table);
        let count = table.len();
        self.count.send_if_modified(|known| std::mem::replace(known, count) != count);
        changed
    }
}

/// Keeps one to each server but that of the session, which is called `server` and found at `at`. One try at a time,
/// at points of time that differ between agents: servers have more urgent work.
pub(super) async fn keep(shared: &Shared, server: &ServerAddress, at: &ServerAddress) -> Infallible {
    let (shortest, longest) = (shared.config.timing.spare / 4, shared.config.timing.spare);
    let mut took = Duration::ZERO;
    loop {
        tokio::time::sleep(jitter(shortest, longest) + took * PAUSES).await;
        let servers = shared.servers.load_full();
        let others = servers.iter().filter(|other| *other != server && *other != at);
        let others: Vec<ServerAddress> = others.cloned().collect();
        let Some(missing) = shared.spares.missing(&others) else { continue };
        let begun = Instant::now();
        let connected = shared.connect(&missing).await;
        took = begun.elapsed();
        match connected {
            Ok(reached) => shared.spares.keep(&missing, reached),
            Err(error) => tracing::debug!(%error, "no spare connection to a server that does not lead"),
        }
    }
}
