//! A base image from the machine's own package sources, read by a foreign program.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use std::os::unix::fs::FileTypeExt as _;
use std::process::Command;

use fixture::{assert_clean, store};
use kogge_containers::base_image::{BaseImageError, BaseImageSpec, build_base};
use tokio::sync::mpsc;

#[tokio::test(flavor = "multi_thread")]
async fn a_base_image_is_made_from_packages_and_others_can_read_it() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let (progress, mut lines) = mpsc::channel(16);
    let spec = BaseImageSpec { name: "test/base:1".parse().unwrap(), ..BaseImageSpec::default() };
    let scratch = root.path().join("scratch");
    let counting = async {
        let mut count = 0;
        while lines.recv().await.is_some() {
            count += 1;
        }
        count
    };
    let (record, count) = tokio::join!(build_base(&store, &spec, &scratch, progress), counting);
    let record = record.unwrap();
    assert!(record.is_pinned && count > 0, "{count} lines of progress");
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0);
    assert_clean(root.path());

    let image = store.resolve(&spec.name).await.unwrap();
    let files = &image.lower[0];
    assert!(files.join("bin/sh").exists() && files.join("etc/passwd").exists());
    let lists = std::fs::read_dir(files.join("var/lib/apt/lists")).unwrap().map(|entry| entry.unwrap());
    let kept: Vec<_> =
        lists.map(|entry| entry.file_name()).filter(|name| name != "lock" && name != "partial").collect();
    assert!(kept.is_empty(), "package lists are cleared: {kept:?}");
    let devices = std::fs::read_dir(files.join("dev")).unwrap().map(|entry| entry.unwrap());
    assert!(devices.into_iter().all(|entry| !entry.file_type().unwrap().is_char_device()), "no device nodes");
    assert!(record.size_bytes < 120 << 20, "{} bytes", record.size_bytes);

    let archive = root.path().join("base.tar");
    store.export_archive(&spec.name, std::fs::File::create(&archive).unwrap()).await.unwrap();
    let source = format!("oci-archive:{}:test/base:1", archive.display());
    let storage = root.path().join("foreign");
    let pulled = Command::new("buildah")
        .arg(format!("--root={}", storage.join("root").display()))
        .arg(format!("--runroot={}", storage.join("run").display()))
        .args(["--storage-driver=vfs", "pull", "--quiet", &source])
        .output()
        .unwrap();
    assert!(pulled.status.success(), "{}", String::from_utf8_lossy(&pulled.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_build_says_why_and_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let (progress, lines) = mpsc::channel(16);
    drop(lines);
    let spec = BaseImageSpec {
        name: "test/none:1".parse().unwrap(),
        mirror: Some("file:/nowhere/at/all".to_owned()),
        ..BaseImageSpec::default()
    };
    let scratch = root.path().join("scratch");
    let error = build_base(&store, &spec, &scratch, progress).await.unwrap_err();
    assert!(matches!(error, BaseImageError::Failed { .. }), "{error}");
    assert!(store.list().await.unwrap().is_empty());
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0);
    assert_clean(root.path());
}
