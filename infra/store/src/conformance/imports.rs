//! Snapshots that become the state of another store.

use std::sync::Arc;

use bytes::Bytes;

use super::{Rig, find, list, put};
use crate::import::{Import, ImportError, UNFINISHED};
use crate::snapshot::{self, Reader};
use crate::{Commit, Leadership, MAX_VALUE_BYTES, Op, Revision, Store};

/// A snapshot of 300 small entries and one of the largest values; they are gone from the store afterwards.
async fn sample(store: &Arc<dyn Store>) -> Vec<u8> {
    for n in 0..300 {
        put(store, &format!("from/{n:03}"), &n.to_string()).await;
    }
    put(store, "from/large", &"x".repeat(MAX_VALUE_BYTES)).await;
    let mut bytes = Vec::new();
    snapshot::write(&**store, &mut bytes).await.unwrap();
    for entry in list(store, "from/").await {
        store.commit(Commit::new().delete(entry.key)).await.unwrap();
    }
    bytes
}

async fn lead(store: &dyn Store) -> Leadership {
    store.campaign("leader", Bytes::from_static(b"import")).await.unwrap()
}

pub(crate) async fn an_import_fills_an_empty_store_even_after_one_that_ended_halfway(rig: &impl Rig) {
    let store = rig.open().await;
    let bytes = sample(&store).await;
    let leadership = lead(&*store).await;
    let mut halfway = Import::begin(&*store, leadership.guard()).await.unwrap();
    let cut = Reader::new(&bytes[..bytes.len() - 1]).unwrap();
    assert!(matches!(halfway.fill(cut, |_| {}).await, Err(ImportError::Snapshot(_))), "the snapshot is cut");
    assert!(find(&store, UNFINISHED).await.is_some(), "who leads must see that it has no end");

    let mut import = Import::begin(&*store, leadership.guard()).await.unwrap();
    assert_eq!(list(&store, "from/").await.len(), 0, "what was left is cleared");
    let mut told = Vec::new();
    let whole = Reader::new(&bytes[..]).unwrap();
    let summary = import.fill(whole, |entries| told.push(entries)).await.unwrap();
    assert_eq!((summary.entries, told.last()), (301, Some(&301)));
    assert!(summary.revision > Revision::ZERO);
    let last = Op::Put { key: "last".into(), value: "word".into(), lease: None };
    import.finish(vec![last]).await.unwrap();
    assert!(find(&store, UNFINISHED).await.is_none());
    assert_eq!(find(&store, "last").await.unwrap().value, "word");
    let found = list(&store, "from/").await;
    assert_eq!(found.len(), 301);
    assert!((0..300).all(|n: usize| found[n].value == n.to_string()));

    let refused = Import::begin(&*store, leadership.guard()).await;
    assert!(
        matches!(refused, Err(ImportError::NotEmpty { .. })),
        "a state is never overwritten: {refused:?}"
    );
}
