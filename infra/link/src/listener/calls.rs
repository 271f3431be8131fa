//! Calls into tasks that wait for their agent to take them up.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use kogge_model::id::AgentId;
use kogge_model::reason::Reason;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tonic::{Status, Streaming};

use super::sessions::{Say, Sessions, Unsaid};
use crate::reach::Wish;
use crate::refusal::Refusal;
use crate::timing::Timing;
use crate::wire::{Call, ReachDown, ReachUp, reach_up};

/// The calls that wait.
#[derive(Default)]
pub(crate) struct Calls {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
}

struct Waiting {
    agent: AgentId,
    taken: oneshot::Sender<Line>,
}

/// An agent's answer as it comes. Dropping it tells the agent that nobody listens any more.
pub(crate) struct Line {
    pub(crate) up: Streaming<ReachUp>,
    pub(crate) down: mpsc::Sender<Result<ReachDown, Status>>,
    place: Option<OwnedSemaphorePermit>,
}

/// Takes a call out of the table when nobody waits for it any more.
struct Waiter<'a> {
    calls: &'a Calls,
    call: u64,
}

impl Calls {
    /// Calls `agent` and waits until it has opened what is wished for.
    pub(crate) async fn open(
        &self,
        sessions: &Sessions,
        agent: &AgentId,
        wish: &Wish,
        timing: &Timing,
    ) -> Result<Line, Reason> {
        let unsaid = |why| match why {
            Unsaid::Away => away(agent),
            Unsaid::Full => {
                Reason::new(format!("agent {agent} has too much to do: too many open logs and programs"))
            }
        };
        let place = sessions.place_for_call(agent).map_err(unsaid)?;
        let (taken, line) = oneshot::channel();
        let waiter = self.wait(agent, taken);
        let wish = serde_json::to_vec(wish).expect("a wish is plain data with text keys");
        sessions
            .say(agent, Say::Call(Box::new(Call { call: waiter.call, wish: wish.into() })))
            .map_err(unsaid)?;
        let silent = || Reason::new(format!("agent {agent} does not answer"));
        let line = tokio::time::timeout(timing.call, line).await;
        let mut line = line.map_err(|_| silent())?.map_err(|_| silent())?;
        line.place = Some(place);
        let opened = tokio::time::timeout(timing.answer, line.up.message()).await;
        let opened = opened.map_err(|_| silent())?.map_err(|_| away(agent))?;
        match opened.and_then(|up| up.frame) {
            Some(reach_up::Frame::Opened(_)) => Ok(line),
            Some(reach_up::Frame::Refusal(refusal)) => Err(Refusal::from(refusal).reason),
            _ => Err(silent()),
        }
    }

    fn wait(&self, agent: &AgentId, taken: oneshot::Sender<Line>) -> Waiter<'_> {
        let mut table = self.table();
        table.next += 1;
        let call = table.next;
        table.waiting.insert(call, Waiting { agent: agent.clone(), taken });
        Waiter { calls: self, call }
    }

    /// `agent` has taken `call` up. False when it was not called, or too long ago.
    pub(crate) fn claim(
        &self,
        call: u64,
        agent: &AgentId,
        up: Streaming<ReachUp>,
        down: mpsc::Sender<Result<ReachDown, Status>>,
    ) -> bool {
        let mut table = self.table();
        if table.waiting.get(&call).is_none_or(|waiting| waiting.agent != *agent) {
            return false;
        }
        let waiting = table.waiting.remove(&call).expect("it was there a moment ago, under the same lock");
        waiting.taken.send(Line { up, down, place: None }).is_ok()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.calls.table().waiting.remove(&self.call);
    }
}

impl Line {
    /// The next piece, none at the end.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            match self.up.message().await?.map(|up| up.frame) {
                None => return Ok(None),
                Some(Some(reach_up::Frame::Data(piece))) => return Ok(Some(piece)),
                Some(_) => {}
            }
        }
    }
}

/// The sentence for agents that are not there.
pub(crate) fn away(agent: &AgentId) -> Reason {
    Reason::new(format!("agent {agent} is not connected")).with_hint("see `kogge node list`")
}
