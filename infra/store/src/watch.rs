//! Following changes.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use futures_util::stream::{BoxStream, StreamExt};

use crate::{Batch, Revision};

/// What a watch tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A batch, with its events under the watched prefix; never empty, never split.
    Batch(Batch),
    /// Nothing under the prefix happened up to and including this revision, beyond what was told before.
    Progress(Revision),
    /// The history asked for is gone; the stream ends. List again, compare, watch from there.
    Compacted {
        /// The oldest revision a watch may start from.
        oldest: Revision,
    },
}

impl Change {
    /// The revision that a copy has reached after this change.
    #[must_use]
    pub const fn revision(&self) -> Option<Revision> {
        match self {
            Self::Batch(batch) => Some(batch.revision),
            Self::Progress(revision) => Some(*revision),
            Self::Compacted { .. } => None,
        }
    }
}

/// A stream of [`Change`]s. Ends after [`Change::Compacted`] and when the engine ends or is cut off: then list
/// and watch again.
pub struct Watch(BoxStream<'static, Change>);

impl Watch {
    /// Over an engine's own stream.
    pub(crate) fn new(stream: impl Stream<Item = Change> + Send + 'static) -> Self {
        Self(stream.boxed())
    }

    /// The next change; `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<Change> {
        self.0.next().await
    }
}

impl Stream for Watch {
    type Item = Change;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Change>> {
        self.0.poll_next_unpin(cx)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}
