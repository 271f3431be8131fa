//! The one owner of the node: everybody else sends it messages, and it carries out what the node decides.
//!
//! ```text
//!  workers ──▶ mailbox ─┐           ┌─▶ records (renamed into place)
//!  control ──▶ orders ──┼─▶ node ───┼─▶ hands (start, stop, probe, …)      in this order, turn by turn
//!  time ────────────────┘           └─▶ outbox (the cluster's record synced, then said)
//! ```

use std::time::Duration;

use kogge_model::id::TaskId;
use kogge_model::link::{FromControl, ToAgent};
use kogge_node::{Effect, Effects, Input, Node};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::outbox::Parcel;
use crate::clock::Clock;
use crate::decisions::Decisions;
use crate::records::{Change, Records, Unsynced};
use crate::tasks::Hands;

/// Messages that may wait for the node; when they are full, workers wait.
pub(crate) const MAILBOX: usize = 1_024;

/// Messages that are taken in one turn, so that one trip to the disk serves them all.
const TURN: usize = 64;

/// Between two tries to write records that cannot be written.
const RETRY: Duration = Duration::from_secs(1);

/// What the node's owner can be sent.
pub(crate) enum Message {
    /// Something happened.
    Input(Input),
    /// Somebody wants to look.
    Look(Box<dyn FnOnce(&Node) + Send>),
}

/// The owner.
pub(crate) struct Reactor {
    pub(crate) node: Node,
    pub(crate) clock: Clock,
    pub(crate) mailbox: mpsc::Receiver<Message>,
    /// None once the link is gone.
    pub(crate) orders: Option<mpsc::Receiver<FromControl>>,
    pub(crate) records: Records,
    pub(crate) outbox: mpsc::Sender<Parcel>,
    pub(crate) hands: Hands,
    pub(crate) decisions: Decisions,
    /// Whether every task is over, for whoever takes the agent down.
    pub(crate) is_idle: watch::Sender<bool>,
}

/// What woke the reactor.
enum Woken {
    Message(Message),
    Order(FromControl),
    LinkGone,
    Time,
}

impl Reactor {
    /// Runs until `token` is cancelled.
    pub(crate) async fn run(mut self, token: CancellationToken) {
        loop {
            let woken = tokio::select! {
                () = token.cancelled() => return,
                woken = self.next() => woken,
            };
            let mut effects = Effects::new();
            self.take(woken, &mut effects);
            for _ in 1..TURN {
                let Some(woken) = self.waiting() else { break };
                self.take(woken, &mut effects);
            }
            if !effects.is_empty() {
                self.carry_out(effects).await;
            }
            let is_idle = self.node.is_idle();
            self.is_idle.send_if_modified(|before| std::mem::replace(before, is_idle) != is_idle);
        }
    }

    async fn next(&mut self) -> Woken {
        let due = self.node.next_wakeup();
        let order = async {
            match &mut self.orders {
                Some(orders) => orders.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = self.mailbox.recv() => match message {
                Some(message) => Woken::Message(message),
                None => Woken::Time,
            },
            order = order => order.map_or(Woken::LinkGone, Woken::Order),
            () = self.clock.sleep_until(due) => Woken::Time,
        }
    }

    /// What is there already.
    fn waiting(&mut self) -> Option<Woken> {
        if let Ok(message) = self.mailbox.try_recv() {
            return Some(Woken::Message(message));
        }
        self.orders.as_mut()?.try_recv().ok().map(Woken::Order)
    }

    fn take(&mut self, woken: Woken, effects: &mut Effects) {
        let now = self.clock.now();
        let input = match woken {
            Woken::Message(Message::Look(look)) => return look(&self.node),
            Woken::Message(Message::Input(input)) => input,
            Woken::Order(order) if !is_nameable(&order.body) => {
                return tracing::warn!(?order, "ignored an order for a task whose id names no file");
            }
            Woken::Order(order) => Input::FromControl(order),
            Woken::LinkGone => {
                self.orders = None;
                Input::LinkDown
            }
            Woken::Time => Input::Tick,
        };
        self.node.handle(now, input, effects);
    }

    /// First persist, then act, then say. Within each of them the node's order is kept.
    async fn carry_out(&mut self, effects: Effects) {
        let (mut changes, mut actions, mut messages) = (Vec::new(), Vec::new(), Vec::new());
        for effect in effects {
            match effect {
                Effect::SaveAgent(record) => changes.push(Change::Agent(record)),
                Effect::Save(record) => changes.push(Change::Task(record)),
                Effect::Forget(task) => changes.push(Change::Forget(task)),
                Effect::Send(message) => messages.push(message),
                Effect::Explain(decision) => self.decisions.keep(decision),
                action => actions.push(action),
            }
        }
        let unsynced = self.persist(changes).await;
        for action in actions {
            self.hands.act(action);
        }
        if !(messages.is_empty() && unsynced.is_empty()) {
            // It is gone only when the agent ends.
            let _ = self.outbox.send(Parcel { unsynced, messages }).await;
        }
    }

    /// Puts records into place, however long that takes: nothing may be done before.
    async fn persist(&self, changes: Vec<Change>) -> Unsynced {
        if changes.is_empty() {
            return Unsynced::default();
        }
        let changes = std::sync::Arc::new(changes);
        loop {
            let (records, changes) = (self.records.clone(), std::sync::Arc::clone(&changes));
            let applying = tokio::task::spawn_blocking(move || records.apply(&changes));
            match applying.await {
                Ok(Ok(unsynced)) => return unsynced,
                Ok(Err(error)) => {
                    let cause =
                        std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    tracing::error!(%error, cause, "records cannot be written, nothing new is done until they can");
                }
                Err(error) => tracing::error!(%error, "the runtime took the records along"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Whether what the order names can name files and cgroups.
fn is_nameable(order: &ToAgent) -> bool {
    match order {
        ToAgent::Launch { spec, .. } => crate::dirs::is_nameable(&spec.task),
        ToAgent::Kill { task, .. } => crate::dirs::is_nameable(task),
        ToAgent::Registered | ToAgent::Unknown | ToAgent::Acknowledge { .. } | ToAgent::GrantLease { .. } => {
            true
        }
    }
}

/// Whoever has something to say to the node. Clones share the mailbox.
#[derive(Clone)]
pub(crate) struct Mailbox {
    sender: mpsc::Sender<Message>,
}

impl Mailbox {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Message>) {
        let (sender, receiver) = mpsc::channel(MAILBOX);
        (Self { sender }, receiver)
    }

    /// Waits for room. Nothing is lost but with the agent itself.
    pub(crate) async fn tell(&self, input: Input) {
        let _ = self.sender.send(Message::Input(input)).await;
    }

    /// What `look` makes of the node; none when the agent has ended.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Node) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let look = Box::new(move |node: &Node| drop(answer.send(look(node))));
        self.sender.send(Message::Look(look)).await.ok()?;
        answered.await.ok()
    }

    /// Which spec `task` has, if it is known.
    pub(crate) async fn knows(&self, task: TaskId) -> bool {
        self.look(move |node| node.task(&task).is_some()).await.unwrap_or(false)
    }
}
