//! Following the log: from where the copy is to where the head says the store is.

use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::Revision;

use super::copy::Copy;
use super::engine::Engine;
use super::head::{Head, SnapshotAt};
use super::history::Bounds;
use super::record::{Malformed, Record, read_part};
use super::session::Failure;

/// Records asked for at once.
const AHEAD: usize = 64;
/// Parts of a snapshot asked for at once: each has half a megabyte or more.
const PARTS_AHEAD: usize = 4;

/// Why the copy could not be brought to the head.
#[derive(Debug)]
pub(super) enum Behind {
    /// The ensemble did not answer.
    Failed(Failure),
    /// What was needed was dropped meanwhile: begin again, with a newer head.
    Dropped,
    /// What is there cannot be used.
    Unusable { node: String, why: Malformed },
    /// The records do not lead to where the head says.
    Differs { index: u64 },
}

impl From<Failure> for Behind {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Brings the shared copy to `head`. Only the keeper does.
pub(super) async fn follow_to(engine: &Engine, head: &Head) -> Result<(), Behind> {
    let (index, revision) = {
        let copy = engine.copy();
        (copy.index, copy.revision)
    };
    if index == head.index && revision == head.revision {
        return Ok(());
    }
    // A store that is behind us was put back to an older state: what we hold never happened in it.
    if index >= head.index || index + 1 < head.first {
        tracing::info!(
            from = index,
            to = head.index,
            "the log does not lead on from here, reading the whole state"
        );
        let copy = load(engine, head).await?;
        engine.replace(copy);
        return Ok(());
    }
    let mut records = records(engine, index + 1, head.index);
    while let Some(record) = records.try_next().await? {
        engine.apply(&record.changes);
    }
    drop(records);
    let reached = engine.copy().revision;
    check(reached, head)
}

/// A copy of its own, at `head`.
pub(super) async fn load(engine: &Engine, head: &Head) -> Result<Copy, Behind> {
    let bounds = engine.options.bounds();
    let mut copy = match &head.snapshot {
        Some(at) => load_snapshot(engine, at, bounds).await?,
        None => Copy::empty(bounds),
    };
    let mut records = records(engine, copy.index + 1, head.index);
    while let Some(record) = records.try_next().await? {
        copy.apply(&record.changes);
    }
    drop(records);
    check(copy.revision, head).map(|()| copy)
}

async fn load_snapshot(engine: &Engine, at: &SnapshotAt, bounds: Bounds) -> Result<Copy, Behind> {
    let paths = (0..at.parts).map(|part| engine.layout.part(at.name, part));
    let mut parts = stream::iter(paths)
        .map(|node| async move {
            let (bytes, _) = engine.session.get(node.clone()).await?.ok_or(Behind::Dropped)?;
            read_part(bytes).map_err(|why| Behind::Unusable { node, why })
        })
        .buffered(PARTS_AHEAD);
    let mut copy = Copy::at(at, bounds);
    while let Some(items) = parts.try_next().await? {
        items.into_iter().for_each(|item| copy.add(item));
    }
    Ok(copy)
}

/// The records from `first` to `last`, in order.
fn records(
    engine: &Engine,
    first: u64,
    last: u64,
) -> impl stream::Stream<Item = Result<Record, Behind>> + Unpin {
    let indexes = stream::iter(first..=last);
    let records = indexes.map(move |index| async move {
        let node = engine.layout.record(index);
        let (bytes, _) = engine.session.get(node.clone()).await?.ok_or(Behind::Dropped)?;
        Record::read(bytes).map_err(|why| Behind::Unusable { node, why })
    });
    Box::pin(records.buffered(AHEAD))
}

fn check(reached: Revision, head: &Head) -> Result<(), Behind> {
    match reached == head.revision {
        true => Ok(()),
        false => Err(Behind::Differs { index: head.index }),
    }
}

impl std::fmt::Display for Behind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Failed(failure) => failure.fmt(f),
            Self::Dropped => f.write_str("the log is dropped faster than it can be read"),
            Self::Unusable { node, why } => write!(f, "cannot use node {node}: {why}"),
            Self::Differs { index } => {
                write!(f, "the log up to record {index} does not lead to the revision that the head names")
            }
        }
    }
}
