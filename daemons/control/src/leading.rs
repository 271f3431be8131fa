//! Who leads, who could, and handing over.

use std::time::Duration;

use kogge_host::clock;
use kogge_model::caller::Caller;
use kogge_model::reason::Reason;
use tokio::sync::watch;

use crate::copy::Copy;
use crate::handle::Handle;
use crate::refusal::Refusal;
use crate::standing::{ServerRecord, Standing};

/// How long a leader that steps down lets the others through first.
pub(crate) const COURTESY: Duration = Duration::from_secs(2);

/// How new an answer of a server that does not lead is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// The revision of the state that it knows.
    pub index: u64,
    /// How long ago that was the newest, for certain.
    pub age: Duration,
}

impl Handle {
    /// What this server is, now and from now on.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.inner.standing.clone()
    }

    /// All servers that live, now and from now on.
    #[must_use]
    pub fn servers(&self) -> watch::Receiver<Vec<ServerRecord>> {
        self.inner.servers.clone()
    }

    /// Where servers let machines in.
    #[must_use]
    pub fn server_doors(&self) -> Vec<String> {
        self.inner
            .servers
            .borrow()
            .iter()
            .filter_map(|server| Some(server.door.as_ref()?.to_string()))
            .collect()
    }

    /// How new the answers of this server are; none while it leads: then they are the newest there is.
    #[must_use]
    pub fn freshness(&self) -> Option<Freshness> {
        if self.inner.standing.borrow().leads() { None } else { self.copied() }
    }

    /// How new the copy is; none if this server is alone and has none.
    #[must_use]
    pub fn copied(&self) -> Option<Freshness> {
        let reached = *self.inner.copy.as_ref()?.reached().borrow();
        Some(Freshness { index: reached.revision.get(), age: clock::now().saturating_since(reached.at) })
    }

    /// How often, since this server started, another one held a different state (G5): each time everything was read
    /// anew. None where the state has one reader.
    #[must_use]
    pub fn mismatches(&self) -> Option<u64> {
        self.inner.copy.as_ref().map(Copy::mismatches)
    }

    /// Hands the lead over to another server; answers when this one has let go.
    ///
    /// # Errors
    /// When there is no other server, or this one does not lead.
    pub async fn step_down(&self, caller: &Caller) -> Result<(), Refusal> {
        let own = &self.inner.facts.server.name;
        if !self.inner.servers.borrow().iter().any(|server| server.name != *own) {
            let reason = Reason::new("there is no other server to lead");
            return Err(Refusal::Conflict(reason.with_hint("start one with the same --state first")));
        }
        tracing::info!(%caller.name, "the lead is handed over");
        self.alter(|_, round| {
            round.courtesy = Some(COURTESY);
            Ok(())
        })
        .await
    }
}
