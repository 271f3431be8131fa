//! A small file system for the data of a node, which can be filled up.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, umount2};

use super::BedError;
use super::program::run;

/// Takes the room; nobody but us knows what it is.
const BALLAST: &str = "ballast";
/// How long that may take on a slow disk.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes a file system of so many MiB in `image` and mounts it at `at`.
pub(crate) fn create(image: &Path, at: &Path, mib: u64) -> Result<(), BedError> {
    let file = File::create(image).map_err(BedError::file("make", image))?;
    file.set_len(mib << 20).map_err(BedError::file("size", image))?;
    fs::create_dir_all(at).map_err(BedError::file("make", at))?;
    // Nothing is reserved for root: full is full.
    run(&format!("mkfs.ext4 -q -F -m 0 {}", image.display()))?;
    run(&format!("mount -o loop {} {}", image.display(), at.display())).map(drop)
}

/// Takes all the room that is left.
pub(crate) fn fill(at: &Path) -> Result<(), BedError> {
    let file = at.join(BALLAST);
    let cannot = || BedError::file("write", &file);
    let mut ballast = File::options().create(true).append(true).open(&file).map_err(cannot())?;
    let deadline = Instant::now() + PATIENCE;
    for size in [1 << 20, 4096, 1] {
        let block = vec![0; size];
        // Where somebody makes room all the while, full is never reached.
        while Instant::now() < deadline {
            match ballast.write_all(&block).and_then(|()| ballast.sync_data()) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(cannot()(error)),
            }
        }
    }
    if Instant::now() < deadline {
        return Ok(());
    }
    let (what, said) = (format!("{} is full", at.display()), String::new());
    Err(BedError::NotReady { what, waited: PATIENCE, said })
}

/// Gives the room back.
pub(crate) fn empty(at: &Path) -> Result<(), BedError> {
    let file = at.join(BALLAST);
    match fs::remove_file(&file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(BedError::file("remove", &file)(error)),
        _ => Ok(()),
    }
}

/// Takes it away; the kernel lets go of the image with it.
pub(crate) fn remove(at: &Path) {
    let _ = umount2(at, MntFlags::MNT_DETACH);
}
