//! Layers that attack: each is refused with a reason, or harmless inside its own directory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use std::io::Cursor;
use std::path::Path;

use fixture::{Image, Layer, assert_clean, store, store_with, tar_of};
use kogge_containers::image::{ImageError, ImageStore, Limits, LoadRequest};
use tar::EntryType;

async fn load(store: &ImageStore, layer: Layer) -> Result<std::path::PathBuf, ImageError> {
    let archive = tar_of(&Image::one_layer(layer).layout("hostile:1"));
    store.load_archive(Cursor::new(archive), LoadRequest::default()).await?;
    let image = store.resolve(&"hostile:1".parse().unwrap()).await?;
    Ok(image.lower[0].canonicalize().unwrap())
}

async fn refused(layer: Layer, part: &str) {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let error = load(&store, layer).await.expect_err(part).to_string();
    assert!(error.contains(part), "{error:?} should say {part:?}");
    assert!(store.list().await.unwrap().is_empty());
    let layers = std::fs::read_dir(root.path().join("layers")).unwrap().count();
    assert_eq!(layers, 0, "a refused layer leaves nothing");
    assert_clean(root.path());
}

#[tokio::test]
async fn paths_that_climb_out_are_refused() {
    refused(Layer::new().file("../evil", b"x"), "`..`").await;
    refused(Layer::new().dir("a").file("a/../../evil", b"x"), "`..`").await;
    refused(Layer::new().entry(EntryType::Directory, "..", 0o755, "", b""), "`..`").await;
    refused(Layer::new().hard_link("a", "../../../../etc/passwd"), "`..`").await;
}

#[tokio::test]
async fn absolute_paths_and_links_stay_inside() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let outside = root.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("passwd"), b"host").unwrap();
    let target = outside.to_str().unwrap();
    let up = format!("{}{}", "../".repeat(20), target.trim_start_matches('/'));
    let dir = load(
        &store,
        Layer::new()
            .dir(&target[1..])
            .file("/absolute", b"1")
            .symlink("out", target)
            .file("out/passwd", b"evil")
            .symlink("up", &up)
            .file("up/shadow", b"evil")
            .symlink("one", "out")
            .symlink("two", "one/.")
            .file("two/chained", b"evil"),
    )
    .await
    .unwrap();
    assert_eq!(std::fs::read(outside.join("passwd")).unwrap(), b"host");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1, "nothing was written outside");
    let inside = dir.join(&target[1..]);
    for (name, data) in [("passwd", b"evil"), ("shadow", b"evil"), ("chained", b"evil")] {
        assert_eq!(std::fs::read(inside.join(name)).unwrap(), data, "{name}");
    }
    assert!(dir.join("absolute").exists());
}

#[tokio::test]
async fn links_that_lead_nowhere_are_no_directories() {
    refused(Layer::new().symlink("a", "b").symlink("b", "a").file("a/x", b""), "link").await;
    refused(Layer::new().symlink("a", "/nowhere").file("a/x", b""), "link").await;
    refused(Layer::new().file("a", b"").file("a/x", b""), "file or link").await;
    refused(Layer::new().symlink("a", "/proc/self/root").file("a/x", b""), "link").await;
}

#[tokio::test]
async fn hard_links_reach_only_files_of_the_layer() {
    refused(Layer::new().hard_link("a", "/etc/passwd"), "does not have").await;
    refused(Layer::new().symlink("out", "/etc").hard_link("a", "out/passwd"), "does not have").await;
    refused(Layer::new().dir("d").hard_link("a", "d"), "directory").await;
    refused(Layer::new().hard_link("a", "/"), "directory").await;
    refused(Layer::new().file(".wh.gone", b"").hard_link("a", "gone"), "mark").await;
    refused(Layer::new().file(".wh.gone", b"").hard_link("a", ".wh.gone"), "mark").await;
    // A link to a link is a second name for the link itself, not for what it points at.
    let root = tempfile::tempdir().unwrap();
    let dir = load(&store(root.path()), Layer::new().symlink("s", "/etc/passwd").hard_link("a", "s"))
        .await
        .unwrap();
    assert!(std::fs::symlink_metadata(dir.join("a")).unwrap().is_symlink());
}

#[tokio::test]
async fn whiteouts_cannot_remove_their_own_directory() {
    refused(Layer::new().file("d/.wh..", b""), "own directory").await;
    refused(Layer::new().file("d/.wh...", b""), "own directory").await;
    refused(Layer::new().file(".wh.", b""), "own directory").await;
    let root = tempfile::tempdir().unwrap();
    let layer = Layer::new().file("f", b"1").file(".wh.f", b"").file("d/x", b"").file(".wh.d", b"");
    let dir = load(&store(root.path()), layer).await.unwrap();
    assert_eq!(std::fs::read(dir.join("f")).unwrap(), b"1", "a whiteout speaks of lower layers");
    assert!(dir.join("d/x").exists());
}

#[tokio::test]
async fn the_root_is_a_directory_and_stays_one() {
    refused(Layer::new().file(".", b""), "root directory").await;
    refused(Layer::new().symlink("/", "/etc"), "root directory").await;
}

#[tokio::test]
async fn entries_that_come_twice_replace_each_other() {
    let root = tempfile::tempdir().unwrap();
    let layer = Layer::new()
        .file("f", b"first")
        .file("f", b"second")
        .dir("d")
        .file("d/inner", b"")
        .file("d", b"now a file")
        .symlink("s", "/tmp")
        .file("s", b"over a link")
        .file("g", b"")
        .dir("g")
        .file("g/inner", b"");
    let dir = load(&store(root.path()), layer).await.unwrap();
    assert_eq!(std::fs::read(dir.join("f")).unwrap(), b"second");
    assert_eq!(std::fs::read(dir.join("d")).unwrap(), b"now a file");
    assert!(std::fs::symlink_metadata(dir.join("s")).unwrap().is_file() && dir.join("g/inner").exists());
}

#[tokio::test]
async fn attributes_that_steer_the_host_are_left_out() {
    let root = tempfile::tempdir().unwrap();
    let layer = Layer::new()
        .xattr("trusted.overlay.redirect", b"/../../etc")
        .xattr("trusted.overlay.opaque", b"y")
        .entry(EntryType::Directory, "d", 0o755, "", b"");
    let dir = load(&store(root.path()), layer).await.unwrap().join("d");
    for name in [c"trusted.overlay.redirect", c"trusted.overlay.opaque"] {
        let mut value = [0; 64];
        assert!(rustix::fs::getxattr(&dir, name, &mut value).is_err(), "{name:?}");
    }
}

#[tokio::test]
async fn device_nodes_are_not_made_even_as_false_marks() {
    let root = tempfile::tempdir().unwrap();
    let layer = Layer::new()
        .entry(EntryType::Block, "disk", 0o666, "", b"")
        .entry(EntryType::Char, "mark", 0o666, "", b"")
        .file("f", b"");
    let dir = load(&store(root.path()), layer).await.unwrap();
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 1);
}

async fn bounded(limits: Limits, layer: Layer, part: &str) {
    let root = tempfile::tempdir().unwrap();
    let store = store_with(root.path(), limits);
    let error = load(&store, layer).await.expect_err(part).to_string();
    assert!(error.contains(part), "{error:?} should say {part:?}");
    assert_clean(root.path());
}

#[tokio::test]
async fn bombs_are_stopped_by_every_bound() {
    let small = |bytes| Limits { unpacked_bytes: bytes, ..Limits::default() };
    bounded(small(100_000), Layer::new().file("big", &[0; 200_000]), "unpacked bytes").await;
    let many = (0..50).fold(Layer::new(), |layer, n| layer.file(&format!("f{n}"), b""));
    bounded(Limits { entries: 40, ..Limits::default() }, many, "entries").await;
    let headers = Layer::new().xattr("user.big", &vec![b'x'; 5_000]).file("f", b"");
    bounded(Limits { header_bytes: 4_096, ..Limits::default() }, headers, "extended headers").await;
    let deep = Layer::new().dir(&"d/".repeat(40));
    bounded(Limits { depth: 30, ..Limits::default() }, deep, "too deep").await;
    bounded(Limits { blob_bytes: 1_000, ..Limits::default() }, Layer::new().file("f", &[1; 2_000]), "bound")
        .await;
}

#[tokio::test]
async fn a_packed_bomb_in_a_layer_is_stopped_by_its_ratio() {
    let root = tempfile::tempdir().unwrap();
    let limits = Limits { ratio: 50, ratio_free_bytes: 1 << 20, ..Limits::default() };
    let store = store_with(root.path(), limits);
    let plain = Layer::new().file("zeros", &vec![0; 8 << 20]).bytes();
    for packing in [fixture::Packing::Gzip, fixture::Packing::Zstd] {
        let image = Image::new(vec![(plain.clone(), packing)], serde_json::json!({}));
        let archive = tar_of(&image.layout("bomb:1"));
        let error = store.load_archive(Cursor::new(archive), LoadRequest::default()).await.unwrap_err();
        assert!(error.to_string().contains("packed size"), "{error}");
    }
    assert_clean(root.path());
}

#[tokio::test]
async fn a_sender_that_falls_silent_is_given_up() {
    let root = tempfile::tempdir().unwrap();
    let store = store_with(root.path(), Limits { idle_seconds: 1, ..Limits::default() });
    let (_silent, reader) = tokio::io::duplex(64);
    let error = store.load_archive(reader, LoadRequest::default()).await.unwrap_err();
    assert!(matches!(error, ImageError::Read { .. }), "{error}");
    assert_clean(root.path());
}

#[tokio::test]
async fn random_damage_never_escapes_and_never_panics() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let whole =
        Layer::new().dir("d").file("d/f", b"data").symlink("s", "d").xattr("user.a", b"b").file("s/g", b"x");
    let whole = whole.bytes();
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..60 {
        let mut bytes = whole.clone();
        for _ in 0..3 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = usize::try_from(seed >> 33).unwrap() % bytes.len();
            bytes[at] = bytes[at].wrapping_add(u8::try_from(seed >> 56).unwrap() | 1);
        }
        let image = Image::new(vec![(bytes, fixture::Packing::Plain)], serde_json::json!({}));
        let archive = tar_of(&image.layout("damaged:1"));
        let _ = store.load_archive(Cursor::new(archive), LoadRequest::default()).await;
    }
    assert_clean(root.path());
    assert!(!Path::new("/d").exists());
}
