//! Directories that must not be used, each with its own sentence.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use redb::Database;

use crate::Store;
use crate::backend::redb::{Embedded, OpenError, Options};

use super::super::tables::{FORMAT, META};
use super::{Directory, put};

async fn fill(directory: &Path) {
    let store = Embedded::open(directory, Options::default()).await.unwrap();
    for n in 0..200 {
        put(&store, &format!("k/{n}"), vec![b'v'; 1000]).await;
    }
}

async fn refusal(directory: &Path) -> OpenError {
    Embedded::open(directory, Options::default()).await.map(|_| ()).unwrap_err()
}

#[tokio::test]
async fn a_second_opener_is_told_who_has_the_directory() {
    let directory = Directory::new();
    let path = directory.0.path();
    let _store = Embedded::open(path, Options::default()).await.unwrap();
    let error = refusal(path).await;
    let expected = format!("data directory {} is in use by process {}", path.display(), std::process::id());
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_closed_store_can_be_opened_at_once_even_with_watches_left() {
    let directory = Directory::new();
    for _ in 0..5 {
        let store = Embedded::open(directory.0.path(), Options::default()).await.unwrap();
        let mut watch = store.watch("".into(), crate::Revision::new(1));
        put(&store, "k", "x").await;
        assert!(watch.next().await.is_some());
        drop(store);
        std::mem::forget(watch);
    }
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let directory = Directory::new();
    let path = directory.0.path();
    fill(path).await;
    {
        let database = Database::open(path.join("state.redb")).unwrap();
        let txn = database.begin_write().unwrap();
        txn.open_table(META).unwrap().insert(FORMAT, 3).unwrap();
        txn.commit().unwrap();
    }
    let error = refusal(path).await;
    assert!(matches!(error, OpenError::NewerFormat { found: 3, .. }), "{error}");
    assert!(
        error
            .to_string()
            .ends_with("has format 3, this program reads formats up to 2: use the newer program")
    );
}

#[tokio::test]
async fn lost_data_is_not_a_new_beginning() {
    let directory = Directory::new();
    let path = directory.0.path();
    fill(path).await;
    File::create(path.join("state.redb")).unwrap();
    assert!(matches!(refusal(path).await, OpenError::Missing { .. }));
    std::fs::remove_file(path.join("state.redb")).unwrap();
    assert!(matches!(refusal(path).await, OpenError::Missing { .. }));
    std::fs::remove_file(path.join("FORMAT")).unwrap();
    assert!(matches!(refusal(path).await, OpenError::Missing { .. }), "a log is left");
}

#[tokio::test]
async fn foreign_and_truncated_files_are_called_damaged() {
    let directory = Directory::new();
    let path = directory.0.path();
    let data = path.join("state.redb");
    std::fs::write(&data, "not a database at all".repeat(1000)).unwrap();
    assert!(matches!(refusal(path).await, OpenError::Damaged { .. }));
    std::fs::remove_file(&data).unwrap();
    fill(path).await;
    let len = std::fs::metadata(&data).unwrap().len();
    OpenOptions::new().write(true).open(&data).unwrap().set_len(len / 2).unwrap();
    let error = refusal(path).await;
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("state.redb is damaged: "), "{error}");
}

#[tokio::test]
async fn flipped_bytes_are_found_before_anything_is_read() {
    let directory = Directory::new();
    let path = directory.0.path();
    fill(path).await;
    let data = path.join("state.redb");
    let bytes = std::fs::read(&data).unwrap();
    // A run of the stored values: surely in use, and no structure that could be noticed by chance.
    let value = [b'v'; 900];
    let at = bytes.windows(value.len()).position(|window| window == value).unwrap();
    let file = OpenOptions::new().write(true).open(&data).unwrap();
    file.write_all_at(b"w", u64::try_from(at + 450).unwrap()).unwrap();
    let error = refusal(path).await;
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    file.write_all_at(b"v", u64::try_from(at + 450).unwrap()).unwrap();
    Embedded::open(path, Options::default()).await.expect("and is whole again");
}

#[tokio::test]
async fn a_path_that_is_no_directory_is_named() {
    let directory = Directory::new();
    let path = directory.0.path().join("file");
    std::fs::write(&path, "").unwrap();
    let error = refusal(&path).await;
    assert!(matches!(error, OpenError::Io { .. }) && error.to_string().contains("/file"), "{error}");
}
