//! Writable places for tasks, and that their layers are known after a restart.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use std::collections::BTreeSet;
use std::io::Cursor;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use fixture::{Image, Layer, store, tar_of};
use kogge_containers::Workers;
use kogge_containers::image::LoadRequest;
use kogge_containers::snapshot::{SnapshotError, SnapshotStore};
use tar::EntryType;

fn snapshots(root: &Path) -> SnapshotStore {
    SnapshotStore::open(&root.join("snapshots"), Workers::new(2)).unwrap()
}

#[tokio::test]
async fn a_snapshot_is_made_found_again_and_swept() {
    let root = tempfile::tempdir().unwrap();
    let images = store(&root.path().join("images"));
    let layer = Layer::new().entry(EntryType::Directory, "./", 0o1777, "", b"").file("f", b"1");
    let archive = tar_of(&Image::one_layer(layer).layout("app:1"));
    images.load_archive(Cursor::new(archive), LoadRequest::default()).await.unwrap();
    let image = images.resolve(&"app:1".parse().unwrap()).await.unwrap();

    let store = snapshots(root.path());
    let snapshot = store.prepare("web.1", &image).await.unwrap();
    assert_eq!(
        std::fs::metadata(&snapshot.upper).unwrap().mode() & 0o7777,
        0o1777,
        "the image's root has this mode"
    );
    assert!(matches!(store.prepare("web.1", &image).await, Err(SnapshotError::Exists { .. })));
    store.prepare("web.2", &image).await.unwrap();
    for bad in ["", "..", ".x", "a/b", "a b"] {
        assert!(matches!(store.prepare(bad, &image).await, Err(SnapshotError::BadId { .. })), "{bad:?}");
    }
    std::fs::create_dir_all(root.path().join("snapshots/.tmp-snapshot-1-1/upper")).unwrap();

    let store = snapshots(root.path());
    assert!(
        !root.path().join("snapshots/.tmp-snapshot-1-1").exists(),
        "half-done work is removed at the start"
    );
    assert_eq!(store.find("web.1").unwrap().as_ref(), Some(&snapshot));
    assert_eq!(store.layers_in_use().await.unwrap(), image.layers.iter().copied().collect::<BTreeSet<_>>());
    std::fs::create_dir_all(snapshot.upper.join("made/by/the/task")).unwrap();
    assert_eq!(store.sweep(BTreeSet::from(["web.2".to_owned()])).await.unwrap(), ["web.1"]);
    assert!(!snapshot.upper.exists() && store.find("web.2").unwrap().is_some());
    store.remove("web.2").await.unwrap();
    store.remove("web.2").await.unwrap();
    assert!(store.layers_in_use().await.unwrap().is_empty());
}
