//! Standing in line: the first ephemeral node under a parent wins, everyone watches only the one before.
//!
//! Source: "Leader Election" in ZooKeeper's recipes, with the name that finds a node whose creation was not
//! answered ("Recoverable Errors and the GUID").

use std::sync::Arc;

use bytes::Bytes;

use super::engine::Engine;
use super::queue::Abandoned;
use super::session::{Failure, Link};
use super::wire::{Code, Node, Op};

/// A place in the line. Leaves it when dropped.
#[derive(Debug)]
pub(super) struct Candidate {
    engine: Arc<Engine>,
    parent: String,
    /// Beginning of our node's name: nobody else's begins so.
    prefix: String,
    stays: bool,
}

/// A node that was the first in the line.
#[derive(Debug, Clone)]
pub(super) struct Won {
    pub(super) node: String,
    /// The session that it belongs to.
    pub(super) term: u64,
}

impl Candidate {
    pub(super) fn new(engine: &Arc<Engine>, parent: String, name: u128) -> Self {
        Self { engine: Arc::clone(engine), parent, prefix: format!("c-{name:032x}-"), stays: false }
    }

    /// Our node need not be removed any more: somebody else does it.
    pub(super) fn stay(mut self) {
        self.stays = true;
    }

    /// Waits until our node is the first.
    pub(super) async fn win(&self) -> Result<Won, Failure> {
        let session = &self.engine.session;
        loop {
            let term = self.connected().await?;
            match self.look(term).await {
                Ok(Some(won)) => return Ok(won),
                // The line has moved, or there was no connection: look again.
                Ok(None) | Err(Failure::Away(_) | Failure::Lost(_)) => {}
                Err(Failure::Refused { code: Code::NO_NODE, .. }) => {
                    let create =
                        Op::Create { path: self.parent.clone(), data: Bytes::new(), node: Node::Persistent };
                    match session.multi(vec![create]).await {
                        Err(failure @ Failure::Refused { code, .. }) if code != Code::NODE_EXISTS => {
                            return Err(failure);
                        }
                        _ => {}
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Looks at the line once, joining it if need be, and waits for a change if we are not the first.
    async fn look(&self, term: u64) -> Result<Option<Won>, Failure> {
        let session = &self.engine.session;
        let mut line = session.children(self.parent.clone()).await?;
        line.sort_unstable_by(|a, b| number(a).cmp(number(b)));
        let Some(place) = line.iter().position(|name| name.starts_with(&self.prefix)) else {
            let path = format!("{}/{}", self.parent, self.prefix);
            let node = Node::EphemeralSequential;
            session.multi(vec![Op::Create { path, data: Bytes::new(), node }]).await?;
            return Ok(None);
        };
        let path = |name: &str| format!("{}/{name}", self.parent);
        if place == 0 {
            return Ok(Some(Won { node: path(&line[0]), term }));
        }
        let (exists, fired) = session.exists_watched(path(&line[place - 1])).await?;
        if exists {
            let _ = fired.await;
        }
        Ok(None)
    }

    /// The session that is connected, as soon as one is.
    async fn connected(&self) -> Result<u64, Failure> {
        let mut link = self.engine.session.link();
        let state = link.wait_for(|link| !matches!(link, Link::Away { .. })).await;
        match state.as_deref() {
            Ok(Link::Connected { term }) => Ok(*term),
            Ok(Link::Ended { reason } | Link::Away { reason, .. }) => Err(Failure::Away(Arc::clone(reason))),
            Err(_) => Err(Failure::Away("it was closed".into())),
        }
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        if !self.stays {
            let (parent, prefix) = (self.parent.clone(), self.prefix.clone());
            self.engine.queue.abandon(Abandoned::Candidate { parent, prefix });
        }
    }
}

/// The place that the server gave: the last ten digits.
fn number(name: &str) -> &str {
    name.len().checked_sub(10).and_then(|at| name.get(at..)).unwrap_or(name)
}
