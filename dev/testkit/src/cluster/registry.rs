//! Which beds there are on this machine, also those whose process was killed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{Bed, BedError, Namespace, ProcessId, Record};

/// A link by tag to the file of each bed.
const FOLDER: &str = "/run/kogge-beds";

/// Before anything of the bed is made.
pub(crate) fn enter(tag: &str, file: &Path) -> Result<(), BedError> {
    fs::create_dir_all(FOLDER).map_err(BedError::file("make", Path::new(FOLDER)))?;
    let link = link(tag);
    symlink(file, &link).map_err(BedError::file("make", &link))
}

/// When nothing of it is left.
pub(crate) fn leave(tag: &str) {
    let _ = fs::remove_file(link(tag));
    // It goes with the last one.
    let _ = fs::remove_dir(FOLDER);
}

fn link(tag: &str) -> PathBuf {
    Path::new(FOLDER).join(tag)
}

/// What all namespaces of a bed are called, at the beginning.
pub(crate) fn prefix(tag: &str) -> String {
    format!("kb-{tag}-")
}

/// Ends all beds whose process is gone without having ended them: a test that was killed. Gives their tags. Beds that
/// people started stay.
///
/// # Errors
/// When one cannot be ended.
pub fn sweep() -> Result<Vec<String>, BedError> {
    let Ok(entries) = fs::read_dir(FOLDER) else { return Ok(Vec::new()) };
    let mut swept = Vec::new();
    for tag in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        // A link that leads nowhere: its bed ends this moment, or its directory was removed by hand.
        let Ok(file) = link(&tag).canonicalize() else { continue };
        let Ok(record) = Record::read(&file) else { continue };
        let is_orphan = record.owner.as_ref().is_some_and(|owner| !ProcessId::is_alive(owner));
        if is_orphan && record.tag == tag {
            match Bed::open(&file).and_then(Bed::down) {
                Ok(()) => swept.push(tag),
                // Somebody else was about it, and was first.
                Err(BedError::Io { .. }) if !file.exists() => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(swept)
}

/// Namespaces of a bed that are there, whether or not its record names them.
pub(crate) fn namespaces(tag: &str) -> Vec<Namespace> {
    Namespace::with_prefix(&prefix(tag))
}
