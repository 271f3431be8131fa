//! The watch checker: readers that follow a prefix for as long as it takes, whatever happens to the engine meanwhile.
//!
//! Each key has one writer, so its versions are a row of numbers. While a watch goes on, a reader must be told each of
//! them once and in order; only a reader that was told to list again may miss some.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all, join3};

use crate::{Change, Commit, Event, Key, Page, Range, Revision, Store};

use super::{STEP, next};

const PREFIX: &str = "followed/";
const WRITERS: usize = 3;
/// Between two writes of a writer.
const PAUSE: Duration = Duration::from_millis(2);
/// Between two compactions, each up to what is newest.
const COMPACTED_EVERY: Duration = Duration::from_millis(150);
/// How long the readers think about what they are told. The slow ones are overtaken by compactions.
const THOUGHTS: [Duration; 2] = [Duration::ZERO, Duration::from_millis(40)];

/// Lets two readers over each of `watching` follow what is written to `writing` until `trouble` is over, then until
/// they know the last word. Tells how often the readers had to list.
pub(crate) async fn stay_right_while(
    writing: &dyn Store,
    watching: &[&dyn Store],
    trouble: impl Future<Output = ()>,
) -> usize {
    let is_over = AtomicBool::new(false);
    let trouble = async {
        trouble.await;
        is_over.store(true, Ordering::SeqCst);
    };
    let writers = async {
        join_all((0..WRITERS).map(|writer| write(writing, writer, &is_over))).await;
        put(writing, "end", "x".into()).await;
    };
    let readers = watching.iter().flat_map(|store| THOUGHTS.map(|thought| (*store, thought)));
    let readers = join_all(readers.map(|(store, thought)| follow(store, thought)));
    let (readers, _) = join(readers, join3(writers, compact(writing, &is_over), trouble)).await;
    let truth = list(writing).await;
    let truth: BTreeMap<Key, u64> =
        truth.entries.into_iter().map(|entry| (entry.key, entry.version)).collect();
    for reader in &readers {
        assert_eq!(reader.versions, truth);
    }
    readers.iter().map(|reader| reader.lists).sum()
}

async fn write(store: &dyn Store, writer: usize, is_over: &AtomicBool) {
    let mut number = 0u64;
    while !is_over.load(Ordering::SeqCst) {
        number += 1;
        put(store, &writer.to_string(), number.to_string()).await;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Until it is known to be written; it may be written more than once.
async fn put(store: &dyn Store, name: &str, value: String) {
    let begun = Instant::now();
    while let Err(error) = store.commit(Commit::new().put(format!("{PREFIX}{name}"), value.clone())).await {
        assert!(begun.elapsed() < STEP, "{error}");
        tokio::time::sleep(PAUSE).await;
    }
}

async fn compact(store: &dyn Store, is_over: &AtomicBool) {
    while !is_over.load(Ordering::SeqCst) {
        tokio::time::sleep(COMPACTED_EVERY).await;
        // While the engine is away nothing is compacted, and that is no fault.
        if let Ok(status) = store.status().await {
            let _ = store.compact(status.revision).await;
        }
    }
}

async fn list(store: &dyn Store) -> Page {
    let begun = Instant::now();
    loop {
        match store.range(Range::prefix(PREFIX)).await {
            Ok(page) => return page,
            Err(error) => assert!(begun.elapsed() < STEP, "{error}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What a reader knows.
#[derive(Default)]
struct Reader {
    versions: BTreeMap<Key, u64>,
    seen: Revision,
    lists: usize,
}

/// Follows until the last word is known.
async fn follow(store: &dyn Store, thought: Duration) -> Reader {
    let mut reader = Reader::default();
    let last = Key::from(format!("{PREFIX}end"));
    loop {
        reader.take(list(store).await);
        let mut watch = store.watch(PREFIX.into(), reader.seen.next());
        loop {
            if reader.versions.contains_key(&last) {
                return reader;
            }
            match next(&mut watch).await {
                Some(Change::Batch(batch)) => reader.hear(batch.revision, batch.events),
                Some(Change::Progress(revision)) => {
                    assert!(revision >= reader.seen, "progress to {revision} after {}", reader.seen);
                    reader.seen = revision;
                }
                Some(Change::Compacted { .. }) | None => break,
            }
            tokio::time::sleep(thought).await;
        }
    }
}

impl Reader {
    /// A list may be newer than what was known, never older.
    fn take(&mut self, page: Page) {
        assert!(page.revision >= self.seen, "listed at {} after {}", page.revision, self.seen);
        let listed: BTreeMap<Key, u64> =
            page.entries.into_iter().map(|entry| (entry.key, entry.version)).collect();
        for (key, known) in &self.versions {
            assert!(listed.get(key) >= Some(known), "{key}: {:?} after {known}", listed.get(key));
        }
        (self.versions, self.seen) = (listed, page.revision);
        self.lists += 1;
    }

    fn hear(&mut self, revision: Revision, events: Vec<Event>) {
        assert!(revision > self.seen, "told {revision} after {}", self.seen);
        self.seen = revision;
        for event in events {
            let Event::Put(entry) = event else { panic!("nothing was deleted: {event:?}") };
            let known = self.versions.insert(entry.key.clone(), entry.version).unwrap_or(0);
            assert_eq!(entry.version, known + 1, "{}: each version is told once, in order", entry.key);
        }
    }
}
