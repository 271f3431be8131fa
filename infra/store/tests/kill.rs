//! G1 and G2 under `kill -9`: no acknowledged write is lost, none is half done.
//!
//! The test starts itself again as a child that writes with 64 writers and prints what was acknowledged, kills it
//! at any moment, opens what it left, and lets the next child go on from there.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use kogge_store::backend::redb::{Embedded, Options};
use kogge_store::{Commit, Consistency, Guard, Key, Range, Revision, Store};

const WRITERS: u32 = 64;
const KILLS: usize = 25;
const DIRECTORY: &str = "KOGGE_STORE_KILL_TEST";
const LOG_BYTES: &str = "KOGGE_STORE_KILL_TEST_LOG_BYTES";

fn part(writer: u32, name: &str) -> Key {
    Key::from(format!("w/{writer}/{name}"))
}

async fn counter(store: &dyn Store, key: &Key) -> (u64, Option<Revision>) {
    let entry = store.get(key, Consistency::Linearizable).await.unwrap().entry;
    entry.map_or((0, None), |entry| {
        (std::str::from_utf8(&entry.value).unwrap().parse().unwrap(), Some(entry.modified))
    })
}

/// Writes n, n + 1, … to two counters and a journal at once, each time guarded by the time before.
async fn write_for_ever(store: Arc<dyn Store>, writer: u32) {
    let (mut n, mut seen) = counter(&*store, &part(writer, "a")).await;
    loop {
        n += 1;
        let guard =
            seen.map_or(Guard::Absent(part(writer, "a")), |seen| Guard::Modified(part(writer, "a"), seen));
        let journal = part(writer, &format!("journal/{n:09}"));
        let commit = Commit::new()
            .when(guard)
            .put(part(writer, "a"), n.to_string())
            .put(journal, n.to_string())
            .put(part(writer, "b"), n.to_string());
        seen = Some(store.commit(commit).await.expect("the child's writes are accepted"));
        let line = format!("{writer} {n} {}\n", seen.unwrap());
        std::io::stdout().lock().write_all(line.as_bytes()).expect("the parent reads");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of the test below"]
async fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let log_bytes = std::env::var(LOG_BYTES).unwrap().parse().unwrap();
    let options = Options { log_bytes, ..Options::default() };
    let store = Embedded::open(Path::new(&directory), options).await.unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    let writers = (0..WRITERS).map(|writer| write_for_ever(Arc::clone(&store), writer));
    futures_util::future::join_all(writers).await;
}

/// What a child acknowledged: per writer, the last number and its revision.
type Acknowledged = BTreeMap<u32, (u64, u64)>;

/// Runs a child and kills it after `count` acknowledgements; everything it still printed counts too.
fn run_and_kill(directory: &Path, log_bytes: u64, count: usize, acknowledged: &mut Acknowledged) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .env(LOG_BYTES, log_bytes.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let (mut seen, mut line) = (0, String::new());
    while lines.read_line(&mut line).unwrap() > 0 {
        let words: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        // The test harness talks on the same pipe, and the kill may cut the last line.
        if let (&[writer, n, revision], true) = (&words[..], line.ends_with('\n')) {
            acknowledged.insert(u32::try_from(writer).unwrap(), (n, revision));
            seen += 1;
            if seen == count {
                child.kill().unwrap();
            }
        }
        line.clear();
    }
    child.wait().unwrap();
    assert!(seen >= count, "the child died by itself after {seen} acknowledgements");
}

/// Compares, and then counts what is there as acknowledged: the next child goes on from it.
async fn verify(directory: &Path, acknowledged: &mut Acknowledged) -> Revision {
    let store = Embedded::open(directory, Options::default()).await.unwrap();
    for writer in 0..WRITERS {
        let (a, modified) = counter(&store, &part(writer, "a")).await;
        let (b, _) = counter(&store, &part(writer, "b")).await;
        let journal = store.range(Range::prefix(part(writer, "journal/"))).await.unwrap().entries;
        let (last, revision) = acknowledged.get(&writer).copied().unwrap_or_default();
        assert!(a == last || a == last + 1, "writer {writer}: acknowledged {last}, found {a}");
        assert_eq!(a, b, "writer {writer}: half a transaction");
        assert_eq!(u64::try_from(journal.len()).unwrap(), a, "writer {writer}: the journal has a hole");
        if a == last && a > 0 {
            assert_eq!(
                modified.unwrap().get(),
                revision,
                "writer {writer}: another revision than acknowledged"
            );
        }
        acknowledged.insert(writer, (a, modified.map_or(0, Revision::get)));
    }
    store.status().await.unwrap().revision
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_and_none_is_torn_when_killed_under_load() {
    let directory = tempfile::tempdir().unwrap();
    let (mut acknowledged, mut last) = (Acknowledged::new(), Revision::ZERO);
    for kill in 0..KILLS {
        // A log that is hardly ever full, so that the next opening does much of it again; and one that nearly every
        // group finds full, so that the kill comes in the middle of checkpoints.
        let log_bytes = if kill % 2 == 0 { Options::default().log_bytes } else { 64 << 10 };
        run_and_kill(directory.path(), log_bytes, 1 + kill * 97 % 800, &mut acknowledged);
        let revision = verify(directory.path(), &mut acknowledged).await;
        assert!(revision >= last, "revisions went back from {last} to {revision}");
        last = revision;
    }
    assert!(last.get() > 1000, "the children wrote {last} batches");
}
