//! Which agents are connected: one session each.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use kogge_model::id::AgentId;
use kogge_model::link::FromControl;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::bounds::{MAX_CALLS, MAX_ORDERS};
use crate::wire::Call;

/// What a session is to say to its agent.
#[derive(Debug)]
pub(crate) enum Say {
    Order(Box<FromControl>),
    Call(Box<Call>),
    Ping,
}

/// Somebody who wants to be the session of an agent.
#[derive(Debug, Clone)]
pub(crate) struct Claimant {
    pub(crate) agent: AgentId,
    /// Drawn by each process at its start.
    pub(crate) instance: Bytes,
    pub(crate) from: SocketAddr,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    entries: BTreeMap<AgentId, Entry>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    instance: Bytes,
    from: SocketAddr,
    orders: mpsc::Sender<Say>,
    heard: watch::Receiver<u64>,
    replaced: CancellationToken,
    calls: Arc<Semaphore>,
}

/// A session's place in the table; left when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) agent: AgentId,
    /// Until the session takes them.
    pub(crate) orders: Option<mpsc::Receiver<Say>>,
    /// Ends the session: a newer one of the same process, or a live one in place of a dead one, is here.
    pub(crate) replaced: CancellationToken,
    heard: watch::Sender<u64>,
    number: u64,
    sessions: Arc<Sessions>,
}

/// The session that was there before, of another process.
struct Rival {
    number: u64,
    from: SocketAddr,
    orders: mpsc::Sender<Say>,
    heard: watch::Receiver<u64>,
}

/// Why something could not be said to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsaid {
    /// It has no session.
    Away,
    /// It does not take what is there already.
    Full,
}

impl Sessions {
    /// Says something, without waiting.
    pub(crate) fn say(&self, agent: &AgentId, say: Say) -> Result<(), Unsaid> {
        let table = self.table();
        let entry = table.entries.get(agent).ok_or(Unsaid::Away)?;
        entry.orders.try_send(say).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unsaid::Full,
            mpsc::error::TrySendError::Closed(_) => Unsaid::Away,
        })
    }

    /// A place for one more call into the tasks of `agent`.
    pub(crate) fn place_for_call(&self, agent: &AgentId) -> Result<OwnedSemaphorePermit, Unsaid> {
        let table = self.table();
        let entry = table.entries.get(agent).ok_or(Unsaid::Away)?;
        Arc::clone(&entry.calls).try_acquire_owned().map_err(|_| Unsaid::Full)
    }

    /// Everybody who is connected, and where.
    pub(crate) fn connected(&self) -> BTreeMap<AgentId, SocketAddr> {
        self.table().entries.iter().map(|(agent, entry)| (agent.clone(), entry.from)).collect()
    }

    /// Ends the session of `agent`, if there is one.
    pub(crate) fn end(&self, agent: &AgentId) {
        if let Some(entry) = self.table().entries.get(agent) {
            entry.replaced.cancel();
        }
    }

    /// Takes the agent's place. If another process has it, that one is asked for a sign of life: whoever answers
    /// within `patience` keeps it, and the address of the living is returned.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        claimant: &Claimant,
        patience: Duration,
    ) -> Result<Seat, SocketAddr> {
        let mut dead = None;
        loop {
            match self.try_enter(claimant, dead) {
                Ok(seat) => return Ok(seat),
                Err(rival) if rival.is_alive(patience).await => return Err(rival.from),
                Err(rival) => dead = Some(rival.number),
            }
        }
    }

    fn try_enter(self: &Arc<Self>, claimant: &Claimant, dead: Option<u64>) -> Result<Seat, Rival> {
        let mut table = self.table();
        if let Some(entry) = table.entries.get(&claimant.agent) {
            let is_other = entry.instance != claimant.instance;
            if is_other && dead != Some(entry.number) && !entry.orders.is_closed() {
                let (orders, heard) = (entry.orders.clone(), entry.heard.clone());
                return Err(Rival { number: entry.number, from: entry.from, orders, heard });
            }
            entry.replaced.cancel();
        }
        table.next += 1;
        let number = table.next;
        let (sender, orders) = mpsc::channel(MAX_ORDERS);
        let (heard, listening) = watch::channel(0);
        let replaced = CancellationToken::new();
        let entry = Entry {
            number,
            instance: claimant.instance.clone(),
            from: claimant.from,
            orders: sender,
            heard: listening,
            replaced: replaced.clone(),
            calls: Arc::new(Semaphore::new(MAX_CALLS)),
        };
        table.entries.insert(claimant.agent.clone(), entry);
        let agent = claimant.agent.clone();
        Ok(Seat { agent, orders: Some(orders), replaced, heard, number, sessions: Arc::clone(self) })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rival {
    async fn is_alive(&self, patience: Duration) -> bool {
        let mut heard = self.heard.clone();
        heard.mark_unchanged();
        // When its orders are full, it has enough to answer to.
        let _ = self.orders.try_send(Say::Ping);
        let answer = async {
            tokio::select! {
                answer = heard.changed() => answer.is_ok(),
                () = self.orders.closed() => false,
            }
        };
        tokio::time::timeout(patience, answer).await.unwrap_or(false)
    }
}

impl Seat {
    /// The agent has said something.
    pub(crate) fn has_heard(&self) {
        self.heard.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Leaves the table; tells whether the agent is without a session now.
    pub(crate) fn leave(&self) -> bool {
        let mut table = self.sessions.table();
        let is_mine = table.entries.get(&self.agent).is_some_and(|entry| entry.number == self.number);
        if is_mine {
            table.entries.remove(&self.agent);
        }
        is_mine
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn claimant(instance: &'static str, port: u16) -> Claimant {
        Claimant {
            agent: AgentId::new("a"),
            instance: Bytes::from_static(instance.as_bytes()),
            from: ([127, 0, 0, 1], port).into(),
        }
    }

    #[tokio::test]
    async fn the_same_process_takes_its_own_place_again_and_the_old_seat_takes_nothing_with_it() {
        let sessions = Arc::new(Sessions::default());
        let first = sessions.enter(&claimant("x", 1), PATIENCE).await.unwrap();
        let second = sessions.enter(&claimant("x", 2), PATIENCE).await.unwrap();
        assert!(first.replaced.is_cancelled() && !second.replaced.is_cancelled());
        assert!(!first.leave());
        drop(first);
        assert_eq!(sessions.say(&AgentId::new("a"), Say::Ping), Ok(()));
        assert!(second.leave());
        assert_eq!(sessions.say(&AgentId::new("a"), Say::Ping), Err(Unsaid::Away));
    }

    #[tokio::test]
    async fn another_process_is_refused_while_the_first_answers() {
        let sessions = Arc::new(Sessions::default());
        let mut first = sessions.enter(&claimant("x", 1), PATIENCE).await.unwrap();
        let other = claimant("y", 2);
        let (refused, ()) = tokio::join!(sessions.enter(&other, PATIENCE), async {
            let orders = first.orders.as_mut().unwrap();
            assert!(matches!(orders.recv().await, Some(Say::Ping)));
            first.has_heard();
        });
        assert_eq!(refused.unwrap_err(), claimant("x", 1).from);
        assert!(!first.replaced.is_cancelled());
    }

    #[tokio::test]
    async fn another_process_takes_the_place_of_one_that_is_silent() {
        let sessions = Arc::new(Sessions::default());
        let first = sessions.enter(&claimant("x", 1), PATIENCE).await.unwrap();
        let second = sessions.enter(&claimant("y", 2), Duration::from_millis(20)).await.unwrap();
        assert!(first.replaced.is_cancelled());
        assert_eq!(sessions.connected()[&AgentId::new("a")], claimant("y", 2).from);
        drop(second);
    }

    #[tokio::test]
    async fn a_full_queue_drops_what_comes_after() {
        let sessions = Arc::new(Sessions::default());
        let seat = sessions.enter(&claimant("x", 1), PATIENCE).await.unwrap();
        let said = (0..MAX_ORDERS + 5).filter(|_| sessions.say(&seat.agent, Say::Ping).is_ok()).count();
        assert_eq!(said, MAX_ORDERS);
        assert_eq!(sessions.say(&seat.agent, Say::Ping), Err(Unsaid::Full));
    }
}
