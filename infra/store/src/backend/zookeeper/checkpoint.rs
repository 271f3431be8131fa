//! Shortening the log: a whole snapshot now and then, so that a reader need not begin at the beginning.
//!
//! The log is kept back to the snapshot before, for those who are a little behind. A snapshot is due when the log
//! after the last one has many records, or is as large as the state: so writing snapshots at most doubles what is
//! written.

use std::time::Duration;

use bytes::Bytes;

use crate::Unavailable;

use super::chance::Chance;
use super::engine::Engine;
use super::head::{Head, SnapshotAt};
use super::layout::BLOCK;
use super::queue::Action;
use super::record::{Item, write_item};
use super::session::Failure;
use super::wire::{Node, Op};

/// A part is finished once it is this large; with the largest value in it, it still fits into a packet.
const PART_BYTES: usize = 384 * 1024;
/// Nodes deleted in one transaction.
const DELETES: usize = 500;
const RETRY: Duration = Duration::from_secs(1);

/// As long as the janitor at `node` is in office. Ends never.
pub(super) async fn shorten_log(engine: &Engine, node: &str, chance: &mut Chance) {
    let work = Work { engine, node };
    let mut head = engine.head.subscribe();
    let mut is_tidy = false;
    loop {
        let now = head.borrow_and_update().clone();
        let step = if !is_tidy {
            work.tidy(&now).await.map(|()| is_tidy = true)
        } else if is_due(engine, &now) {
            is_tidy = false;
            work.checkpoint(chance.name()).await
        } else if head.changed().await.is_ok() {
            continue;
        } else {
            return;
        };
        if let Err(why) = step {
            tracing::debug!(%why, "could not shorten the log in zookeeper, trying again");
            tokio::time::sleep(RETRY).await;
        }
    }
}

fn is_due(engine: &Engine, head: &Head) -> bool {
    let most_bytes = engine.options.log_bytes.max(engine.copy().bytes());
    head.records() >= engine.options.log_records || head.record_bytes() >= most_bytes
}

struct Work<'e> {
    engine: &'e Engine,
    /// The janitor's own: without it nothing of this happens.
    node: &'e str,
}

impl Work<'_> {
    /// Writes everything that the copy holds, and makes readers begin there.
    async fn checkpoint(&self, name: u128) -> Result<(), Unavailable> {
        let (mut at, items) = self.capture(name);
        self.fenced(vec![create(self.engine.layout.snapshot(name), Bytes::new())]).await?;
        let mut part = Vec::new();
        for item in items {
            write_item(&mut part, &item);
            if part.len() >= PART_BYTES {
                self.write(&mut at, std::mem::take(&mut part)).await?;
            }
        }
        if !part.is_empty() {
            self.write(&mut at, part).await?;
        }
        let janitor = self.node.to_owned();
        let asked = self.engine.ask(Action::Checkpoint { at, janitor }).await;
        asked.map(|_| ()).map_err(|error| Unavailable::new(error.to_string()))
    }

    /// Values are shared with the copy, not copied.
    fn capture(&self, name: u128) -> (SnapshotAt, Vec<Item>) {
        let copy = self.engine.copy();
        let (index, revision, logged) = (copy.index, copy.revision, copy.logged);
        let leases = copy.leases().map(|(lease, living)| Item::Lease(lease, living.holder.clone()));
        let items = leases.chain(copy.entries().cloned().map(Item::Entry)).collect();
        (SnapshotAt { name, index, revision, logged, parts: 0, bytes: 0 }, items)
    }

    async fn write(&self, at: &mut SnapshotAt, part: Vec<u8>) -> Result<(), Unavailable> {
        at.bytes += u64::try_from(part.len()).expect("lengths fit");
        let path = self.engine.layout.part(at.name, at.parts);
        at.parts += 1;
        self.fenced(vec![create(path, Bytes::from(part))]).await
    }

    /// Deletes what no reader needs any more, also what a janitor before has left half done.
    async fn tidy(&self, head: &Head) -> Result<(), Unavailable> {
        let (layout, session) = (&self.engine.layout, &self.engine.session);
        let current = head.snapshot.map(|at| layout.snapshot(at.name));
        for name in session.children(layout.snapshots()).await.map_err(why)? {
            let path = format!("{}/{name}", layout.snapshots());
            if current.as_ref() != Some(&path) {
                let parts = session.children(path.clone()).await.map_err(why)?;
                let parts = parts.into_iter().map(|part| format!("{path}/{part}"));
                self.delete(parts.chain([path.clone()]).collect()).await?;
            }
        }
        let mut blocks = session.children(layout.log()).await.map_err(why)?;
        blocks.sort_unstable();
        for block in blocks.iter().filter_map(|name| u64::from_str_radix(name, 16).ok()) {
            if block * BLOCK >= head.first {
                break;
            }
            let path = layout.block(block);
            let records = session.children(path.clone()).await.map_err(why)?;
            let old = |name: &String| u64::from_str_radix(name, 16).is_ok_and(|index| index < head.first);
            let records = records.into_iter().filter(old).map(|name| format!("{path}/{name}"));
            let is_over = (block + 1) * BLOCK <= head.first;
            self.delete(records.chain(is_over.then(|| path.clone())).collect()).await?;
        }
        Ok(())
    }

    async fn delete(&self, paths: Vec<String>) -> Result<(), Unavailable> {
        for some in paths.chunks(DELETES) {
            let deletes = some.iter().map(|path| Op::Delete { path: path.clone(), version: -1 });
            self.fenced(deletes.collect()).await?;
        }
        Ok(())
    }

    async fn fenced(&self, mut ops: Vec<Op>) -> Result<(), Unavailable> {
        ops.insert(0, Op::Check { path: self.node.to_owned(), version: -1 });
        self.engine.session.multi(ops).await.map(|_| ()).map_err(why)
    }
}

fn create(path: String, data: Bytes) -> Op {
    Op::Create { path, data, node: Node::Persistent }
}

fn why(failure: Failure) -> Unavailable {
    Unavailable::new(failure.to_string())
}
