//! Who leads, who could, and handing over.

use std::time::Duration;

use kogge_host::clock;
use kogge_model::caller::Caller;
use kogge_model::reason::Reason;
use kogge_store::Leadership;
use tokio::sync::watch;

use crate::copy::Copy;
use crate::handle::Handle;
use crate::image::Image;
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

/// Resolves when the copy shows that the lead is another one's or nobody's, though no lease has ended: all that stood in
/// the engine may be gone, and who would go on to decide by what he remembers (G4).
pub(crate) async fn deposed(copy: Option<&Copy>, leadership: &Leadership) {
    let Some(copy) = copy else { return std::future::pending().await };
    let mut reached = copy.reached();
    while is_held(&copy.image(), leadership) {
        if reached.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Whether `image` has the record of this lead, or is too old to.
fn is_held(image: &Image, leadership: &Leadership) -> bool {
    let is_there =
        || image.get(leadership.key()).is_some_and(|entry| entry.created.get() == leadership.fence());
    image.revision().get() < leadership.fence() || is_there()
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kogge_host::tasks::TaskGroup;
    use kogge_store::backend::redb::{Embedded, Options};
    use kogge_store::{Commit, Event, Store};

    use super::*;
    use crate::load::ELECTION;

    const DEADLINE: Duration = Duration::from_secs(30);

    /// Whether it resolves at once.
    async fn is_deposed(copy: &Copy, leadership: &Leadership) -> bool {
        tokio::time::timeout(Duration::ZERO, deposed(Some(copy), leadership)).await.is_ok()
    }

    #[tokio::test]
    async fn a_leader_whose_election_is_gone_from_the_state_is_one_no_more() {
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(Embedded::open(directory.path(), Options::default()).await.unwrap());
        let group = TaskGroup::new("test");
        let copy = Copy::follow(Arc::clone(&store), Image::default(), &group);
        let leadership = store.campaign(ELECTION, "s1".into()).await.unwrap();
        assert!(!is_deposed(&copy, &leadership).await, "a copy that is behind says nothing");
        store.commit(Commit::new().put("a", "1")).await.unwrap();
        assert!(copy.catch_up().await);
        assert!(!is_deposed(&copy, &leadership).await);

        let (key, revision) = (leadership.key().clone(), copy.image().revision().next());
        let waiting = deposed(Some(&copy), &leadership);
        let losing = async {
            Arc::make_mut(&mut copy.image()).apply(revision, vec![Event::Delete { key }]);
            store.commit(Commit::new().put("a", "2")).await.unwrap();
        };
        tokio::time::timeout(DEADLINE, async { tokio::join!(waiting, losing) }).await.expect("it is noticed");
        assert_eq!(group.shutdown(DEADLINE).await, Vec::<String>::new());
    }
}
