//! Loading, naming, exporting and collecting images.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use std::collections::BTreeSet;
use std::io::Cursor;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::time::Duration;

use fixture::{Image, Layer, Packing, assert_clean, busybox, store, tar_of, write_dir};
use kogge_containers::image::{Bounds, ImageError, ImageStore, Keep, LoadRequest, Reference};
use serde_json::json;
use tar::EntryType;

fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

fn named(text: &str) -> LoadRequest {
    LoadRequest { name: Some(name(text)), ..LoadRequest::default() }
}

/// Three layers in three packings: the second removes, replaces and hides what the first has.
fn three_layers() -> Image {
    let low = Layer::new()
        .dir("etc")
        .file("etc/passwd", b"web:x:33:34::/srv:\n")
        .file("etc/removed", b"x")
        .dir("hidden")
        .file("hidden/below", b"x")
        .file("becomes-dir", b"x");
    let middle = Layer::new()
        .file("etc/.wh.removed", b"")
        .dir("hidden")
        .file("hidden/.wh..wh..opq", b"")
        .file("hidden/above", b"y")
        .dir("becomes-dir")
        .file("becomes-dir/inside", b"z");
    let high = Layer::new()
        .dir("bin")
        .program("bin/busybox", &busybox())
        .hard_link("bin/sh", "bin/busybox")
        .entry(EntryType::Regular, "bin/su", 0o4755, "", b"su")
        .xattr("user.note", b"a\nb")
        .file("noted", b"n")
        .entry(EntryType::Char, "dev-null", 0o666, "", b"")
        .entry(EntryType::Fifo, "pipe", 0o600, "", b"");
    let run = json!({ "Cmd": ["/bin/busybox", "true"], "User": "web", "ExposedPorts": { "80/tcp": {} } });
    let layers =
        vec![(low.bytes(), Packing::Plain), (middle.bytes(), Packing::Gzip), (high.bytes(), Packing::Zstd)];
    Image::new(layers, run)
}

async fn load(store: &ImageStore, archive: Vec<u8>, request: LoadRequest) -> Result<String, ImageError> {
    let records = store.load_archive(Cursor::new(archive), request).await?;
    Ok(records.iter().map(|record| record.reference.to_string()).collect::<Vec<_>>().join(" "))
}

#[tokio::test]
async fn layers_of_all_packings_come_out_as_overlayfs_wants_them() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    load(&store, tar_of(&three_layers().layout("three:1")), LoadRequest::default()).await.unwrap();
    let image = store.resolve(&name("three:1")).await.unwrap();
    assert_eq!(image.config.user.as_deref(), Some("web"));
    let [high, middle, low] = &image.lower[..] else { panic!("three layers") };
    assert!(std::fs::symlink_metadata(middle.join("etc/removed")).unwrap().file_type().is_char_device());
    assert_eq!(std::fs::symlink_metadata(middle.join("etc/removed")).unwrap().rdev(), 0);
    assert!(low.join("hidden/below").exists() && middle.join("hidden/above").exists());
    let su = std::fs::metadata(high.join("bin/su")).unwrap();
    assert_eq!((su.mode() & 0o7777, su.mtime()), (0o4755, 1_000_000_000));
    let (program, link) = (high.join("bin/busybox"), high.join("bin/sh"));
    assert_eq!(std::fs::metadata(program).unwrap().ino(), std::fs::metadata(link).unwrap().ino());
    let mut value = [0; 8];
    let noted = std::fs::File::open(high.join("noted")).unwrap();
    let n = rustix::fs::fgetxattr(&noted, c"user.note", &mut value).unwrap();
    assert_eq!(&value[..n], b"a\nb");
    assert!(!high.join("dev-null").exists(), "device nodes are left out");
    assert!(std::fs::symlink_metadata(high.join("pipe")).unwrap().file_type().is_fifo());
    assert_clean(root.path());
}

/// The kernel itself is the judge of whiteouts and opaque directories.
#[tokio::test]
async fn overlayfs_shows_the_layers_joined() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    load(&store, tar_of(&three_layers().layout("three:1")), LoadRequest::default()).await.unwrap();
    let image = store.resolve(&name("three:1")).await.unwrap();
    let merged = root.path().join("merged");
    std::fs::create_dir(&merged).unwrap();
    let lower: Vec<&str> = image.lower.iter().map(|path| path.to_str().unwrap()).collect();
    let options = std::ffi::CString::new(format!("lowerdir={}", lower.join(":"))).unwrap();
    rustix::mount::mount(
        c"overlay",
        &merged,
        c"overlay",
        rustix::mount::MountFlags::empty(),
        options.as_c_str(),
    )
    .unwrap();
    let seen = [
        merged.join("etc/passwd").exists(),
        !merged.join("etc/removed").exists(),
        !merged.join("hidden/below").exists(),
        merged.join("hidden/above").exists(),
        merged.join("becomes-dir/inside").exists(),
        merged.join("bin/sh").exists(),
    ];
    rustix::mount::unmount(&merged, rustix::mount::UnmountFlags::empty()).unwrap();
    assert_eq!(seen, [true; 6]);
}

#[tokio::test]
async fn docker_archives_load_packed_or_not_and_always_as_the_same_image() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let archive = tar_of(&three_layers().docker("shop/web:2"));
    assert_eq!(load(&store, archive.clone(), LoadRequest::default()).await.unwrap(), "shop/web:2");
    let first = store.resolve(&name("shop/web:2")).await.unwrap().manifest;
    let packed = fixture::pack(&archive, Packing::Gzip);
    assert_eq!(load(&store, packed, named("other")).await.unwrap(), "other:latest");
    assert_eq!(store.resolve(&name("other")).await.unwrap().manifest, first);
    assert_eq!(store.list().await.unwrap().len(), 2);
    assert_clean(root.path());
}

#[tokio::test]
async fn a_layer_that_two_names_share_by_link_is_found() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let image = Image::one_layer(Layer::new().file("a", b"1"));
    let mut tar = tar::Builder::new(Vec::new());
    for (file, data) in image.docker("linked:1") {
        let mut header = tar::Header::new_gnu();
        if file.ends_with("layer.tar") {
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, "real/layer.tar", data.as_slice()).unwrap();
            let mut link = tar::Header::new_gnu();
            link.set_entry_type(EntryType::Symlink);
            link.set_size(0);
            tar.append_link(&mut link, &file, "../real/layer.tar").unwrap();
        } else {
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, &file, data.as_slice()).unwrap();
        }
    }
    load(&store, tar.into_inner().unwrap(), LoadRequest::default()).await.unwrap();
    assert!(store.resolve(&name("linked:1")).await.unwrap().lower[0].join("a").exists());
}

#[tokio::test]
async fn two_loads_of_the_same_image_share_the_work() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let archive = tar_of(&three_layers().layout("three:1"));
    let loads = (0..4).map(|n| load(&store, archive.clone(), named(&format!("copy:{n}"))));
    for result in futures_util::future::join_all(loads).await {
        result.unwrap();
    }
    assert_eq!(store.list().await.unwrap().len(), 4);
    assert_eq!(
        std::fs::read_dir(root.path().join("layers")).unwrap().count(),
        6,
        "three layers, three summaries"
    );
    assert_clean(root.path());
}

#[tokio::test]
async fn what_does_not_keep_its_digest_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let image = three_layers();
    let mut bent = image.layout("bent:1");
    let last = bent.last_mut().unwrap();
    *last.1.last_mut().unwrap() ^= 1;
    let error = load(&store, tar_of(&bent), LoadRequest::default()).await.unwrap_err();
    assert!(matches!(error, ImageError::DigestMismatch { .. }), "{error}");

    let mut image = Image::one_layer(Layer::new().file("a", b"1"));
    image.layers[0] = Layer::new().file("a", b"2").bytes();
    let lying_diff_id = tar_of(&image.docker("lie:1"));
    let error = load(&store, lying_diff_id, LoadRequest::default()).await.unwrap_err();
    assert!(matches!(error, ImageError::DigestMismatch { .. }), "{error}");
    assert!(store.list().await.unwrap().is_empty());
    assert_eq!(
        std::fs::read_dir(root.path().join("layers"))
            .unwrap()
            .filter(|e| { e.as_ref().unwrap().path().is_dir() })
            .count(),
        0
    );
    assert_clean(root.path());
}

#[tokio::test]
async fn an_archive_without_a_name_needs_one() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let archive = tar_of(&three_layers().layout("latest"));
    let error = load(&store, archive.clone(), LoadRequest::default()).await.unwrap_err().to_string();
    assert!(error.contains("give one"), "{error}");
    assert_eq!(load(&store, archive, named("mine:3")).await.unwrap(), "mine:3");
    let error = load(&store, tar_of(&[("x".to_owned(), vec![])]), named("x")).await.unwrap_err().to_string();
    assert!(error.contains("neither"), "{error}");
}

#[tokio::test]
async fn an_image_goes_out_as_a_layout_and_comes_back_the_same() {
    let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (from, to) = (store(root.path()), store(other.path()));
    load(&from, tar_of(&three_layers().docker("kogge/base:12")), LoadRequest::default()).await.unwrap();
    let manifest = from.resolve(&name("kogge/base:12")).await.unwrap().manifest;

    let dir: PathBuf = other.path().join("layout");
    from.export_layout(&name("kogge/base:12"), dir.clone()).await.unwrap();
    let request = LoadRequest { entry: Some("kogge/base:12".to_owned()), ..named("again:1") };
    assert_eq!(to.load_layout(dir.clone(), request).await.unwrap()[0].manifest, manifest);
    let request = LoadRequest { entry: Some("other:1".to_owned()), ..LoadRequest::default() };
    assert!(matches!(to.load_layout(dir, request).await, Err(ImageError::NotFound { .. })));

    let archive = from.export_archive(&name("kogge/base:12"), Vec::new()).await.unwrap();
    assert_eq!(load(&to, archive, LoadRequest::default()).await.unwrap(), "kogge/base:12");
    assert_eq!(to.resolve(&name("kogge/base:12")).await.unwrap().manifest, manifest);
}

#[tokio::test]
async fn a_link_in_a_layout_directory_cannot_lead_out() {
    let (root, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = store(root.path());
    let image = Image::one_layer(Layer::new().file("a", b"1"));
    write_dir(&image.layout("x:1"), dir.path());
    let config = dir.path().join(fixture::blob_name(&image.config));
    let outside = root.path().join("config");
    std::fs::rename(&config, &outside).unwrap();
    std::os::unix::fs::symlink(&outside, &config).unwrap();
    assert!(store.load_layout(dir.path().to_path_buf(), LoadRequest::default()).await.is_err());
}

#[tokio::test]
async fn collection_takes_what_nobody_needs_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    for n in 0..5 {
        let image = Image::one_layer(Layer::new().file("n", format!("{n}").as_bytes()));
        load(
            &store,
            tar_of(&image.layout(&format!("app:{n}"))),
            LoadRequest { is_pinned: n == 0, ..LoadRequest::default() },
        )
        .await
        .unwrap();
    }
    let rollback = store.resolve(&name("app:1")).await.unwrap().manifest;
    let snapshot = store.resolve(&name("app:2")).await.unwrap().layers.clone();
    let running = store.resolve(&name("app:3")).await.unwrap();
    let keep = Keep { manifests: BTreeSet::from([rollback]), layers: snapshot.iter().copied().collect() };

    let roomy = Bounds { max_bytes: u64::MAX, min_idle: Duration::ZERO };
    assert_eq!(store.collect(keep.clone(), roomy).await.unwrap().references, []);
    let idle = Bounds { max_bytes: 0, min_idle: Duration::from_secs(3600) };
    assert_eq!(store.collect(keep.clone(), idle).await.unwrap().references, [], "all were used just now");

    let full = Bounds { max_bytes: 0, min_idle: Duration::ZERO };
    let collected = store.collect(keep.clone(), full).await.unwrap();
    assert_eq!(
        collected.references,
        [name("app:4"), name("app:2"), name("app:3")],
        "least recently used first"
    );
    assert_eq!(
        (collected.layers, collected.blobs),
        (1, 5),
        "app:4 whole; of app:2 all but the layer, whose plain blob has the same digest: {collected:?}"
    );
    assert!(running.lower[0].join("n").exists(), "a lease protects the layer");
    assert!(root.path().join("layers").join(format!("sha256-{}", snapshot[0].hex())).exists());
    assert!(store.image(&rollback).await.is_ok() && store.resolve(&name("app:0")).await.is_ok());

    drop(running);
    store.remove(&name("app:1")).await.unwrap();
    assert!(matches!(store.remove(&name("app:1")).await, Err(ImageError::NotFound { .. })));
    assert_eq!(store.collect(keep, full).await.unwrap().layers, 1, "only what the lease had held");
    assert!(store.image(&rollback).await.is_ok(), "a rollback's manifest needs no name");
    store.collect(Keep::default(), full).await.unwrap();
    assert!(store.image(&rollback).await.is_err());
    assert_clean(root.path());
}

#[tokio::test]
async fn a_start_after_a_crash_clears_up_and_mends() {
    let root = tempfile::tempdir().unwrap();
    let first = store(root.path());
    load(&first, tar_of(&three_layers().layout("three:1")), LoadRequest::default()).await.unwrap();
    drop(first);
    let unfinished = root.path().join("unfinished/.tmp-layer-1-1");
    std::fs::create_dir_all(unfinished.join("deep/er")).unwrap();
    let layer = std::fs::read_dir(root.path().join("layers"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.is_dir());
    std::fs::remove_dir_all(layer.unwrap()).unwrap();
    let again = store(root.path());
    assert_clean(root.path());
    let image = again.resolve(&name("three:1")).await.unwrap();
    assert!(image.lower.iter().all(|layer| layer.is_dir()), "a missing layer is unpacked again");
}
