//! Everything that [`crate::Services`] can be told.

use std::collections::BTreeMap;
use std::sync::Arc;

use kogge_model::id::{RevisionId, TaskId};
use kogge_model::name::ServiceId;
use kogge_model::scheduler::Event;
use kogge_model::service::ServiceSpec;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The way to the kernel stands, at the start or again. At the start the tree comes first ([`Change::Whole`]), so
    /// that tasks the kernel tells of find the services they belong to.
    Connected,
    /// The tree says this. Revisions only move forward; an older one is ignored.
    Desired {
        /// The revision that says it.
        revision: RevisionId,
        /// What it says.
        change: Change,
    },
    /// The kernel said something.
    FromKernel(Event),
    /// The kernel said several things, in this order: what follows is planned once all are heard, so that a service of
    /// a thousand instances is not planned anew for each of them.
    Events(Vec<Event>),
    /// The router has no request for this task in flight any more and gives it none.
    Drained {
        /// Which.
        task: TaskId,
    },
    /// Time has passed: due at [`crate::Services::next_wakeup`].
    Tick,
}

impl Input {
    /// Event after event. Those that follow each other are heard together, but for offers: these are answered at once.
    #[must_use]
    pub fn of_events(events: impl IntoIterator<Item = Event>) -> Vec<Self> {
        let mut inputs = Vec::new();
        for event in events {
            match (event, inputs.last_mut()) {
                (event @ Event::Offers(_), _) => inputs.push(Self::FromKernel(event)),
                (event, Some(Self::Events(together))) => together.push(event),
                (event, _) => inputs.push(Self::Events(vec![event])),
            }
        }
        inputs
    }
}

/// What a revision says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Every service there is; whatever is not named has been removed.
    Whole(BTreeMap<ServiceId, Arc<ServiceSpec>>),
    /// Only what differs from the revision before; none means removed.
    Changed(BTreeMap<ServiceId, Option<Arc<ServiceSpec>>>),
}
