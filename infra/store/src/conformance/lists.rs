//! Lists of entries.

use std::sync::Arc;

use futures_util::StreamExt;

use crate::{Commit, CommitError, Key, Page, Range, ReadError, Revision, Store};

use super::{Rig, list, put};

pub(crate) async fn a_hundred_thousand_keys_are_listed(rig: &impl Rig) {
    const KEYS: usize = 100_000;
    let store = rig.open().await;
    let commits = (0..KEYS).step_by(125).map(|first| {
        let commit = (first..first + 125)
            .fold(Commit::new(), |all, n| all.put(format!("many/{n:06}"), format!("value of {n}")));
        store.commit(commit)
    });
    // A few at a time: each has the engine's whole deadline, however slow the machine is.
    let commits: Vec<Result<Revision, CommitError>> =
        futures_util::stream::iter(commits).buffered(16).collect().await;
    commits.into_iter().for_each(|committed| _ = committed.unwrap());
    let entries = list(&store, "many/").await;
    assert_eq!(entries.len(), KEYS);
    assert!(entries.is_sorted_by(|a, b| a.key < b.key));
}

async fn all_pages(store: &Arc<dyn Store>, first: Range) -> Result<Vec<Page>, ReadError> {
    let mut pages = Vec::new();
    let mut request = Some(first);
    while let Some(range) = request {
        let page = store.range(range.clone()).await?;
        request = range.following(&page);
        pages.push(page);
    }
    Ok(pages)
}

pub(crate) async fn pages_show_one_revision_while_writers_run(rig: &impl Rig) {
    let store = rig.open().await;
    for n in 0..50 {
        put(&store, &format!("p/{n:02}"), "old").await;
    }
    let writer = async {
        for n in 0..50 {
            store
                .commit(Commit::new().delete(format!("p/{n:02}")).put(format!("p/{n:02}x"), "new"))
                .await
                .unwrap();
        }
    };
    let reader = async {
        let mut seen = 0;
        while seen < 10 {
            match all_pages(&store, Range::prefix("p/").paged(7)).await {
                Ok(pages) => {
                    assert!(pages.iter().all(|page| page.revision == pages[0].revision));
                    let keys: Vec<Key> =
                        pages.into_iter().flat_map(|page| page.entries).map(|e| e.key).collect();
                    assert!(keys.is_sorted_by(|a, b| a < b));
                    // Each commit replaces one key by another, so every revision has as many.
                    assert_eq!(keys.len(), 50);
                    seen += 1;
                }
                Err(ReadError::Compacted { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    futures_util::future::join(writer, reader).await;
    let asked = Range { at: Some(store.status().await.unwrap().revision.next()), ..Range::prefix("p/") };
    let future = store.range(asked).await;
    assert!(
        matches!(future, Err(ReadError::Compacted { .. })),
        "a revision that is not yet there: {future:?}"
    );
}

pub(crate) async fn a_prefix_lists_exactly_its_keys(rig: &impl Rig) {
    let store = rig.open().await;
    for key in ["a", "a/", "a/b", "a0", "b", "a/b/c"] {
        put(&store, key, key).await;
    }
    store
        .commit(Commit::new().put(&[b'a', b'/', 0xff][..], "full").put(&[0xff, 0xff][..], "last"))
        .await
        .unwrap();
    let keys = async |range: Range| -> Vec<String> {
        let page = store.range(range).await.unwrap();
        page.entries.iter().map(|entry| entry.key.to_string()).collect()
    };
    assert_eq!(keys(Range::prefix("a/")).await, ["a/", "a/b", "a/b/c", "a/\\xff"]);
    assert_eq!(keys(Range::prefix(&[b'a', b'/', 0xff][..])).await, ["a/\\xff"]);
    assert_eq!(keys(Range::prefix(&[0xff][..])).await, ["\\xff\\xff"]);
    assert_eq!(keys(Range::prefix("c")).await, [""; 0]);
    assert_eq!(keys(Range::prefix(Key::ALL)).await.len(), 8);
    let after = Range { after: Some("a/b".into()), ..Range::prefix("a/") };
    assert_eq!(keys(after).await, ["a/b/c", "a/\\xff"]);
    let before = Range { after: Some("a".into()), ..Range::prefix("a/") };
    assert_eq!(keys(before).await.len(), 4);
    let beyond = Range { after: Some("z".into()), ..Range::prefix("a/") };
    assert_eq!(keys(beyond).await.len(), 0);
    let page = store.range(Range::prefix("a/").paged(4)).await.unwrap();
    assert!(!page.more, "a full page that is the last says so");
}
