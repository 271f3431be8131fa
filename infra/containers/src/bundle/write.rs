//! Putting a bundle where the shim looks.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::BundleError;
use super::spec::{ContainerSpec, RootFiles};

/// Writes `config.json` into `dir`, and makes what the spec relies on: the root's mount point and, for a command
/// on the host's files, its own directory. Blocking, but small.
///
/// # Errors
/// When the spec is refused (then nothing is written) or the disk refuses.
pub fn write_bundle(dir: &Path, spec: &ContainerSpec) -> Result<PathBuf, BundleError> {
    let oci = spec.to_oci()?;
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| BundleError::Write { path, source }
    };
    fs::create_dir_all(dir).map_err(failed(dir))?;
    match &spec.root {
        RootFiles::Image { rootfs, .. } => fs::create_dir_all(rootfs).map_err(failed(rootfs))?,
        RootFiles::Host { rootfs, work_dir, .. } => {
            fs::create_dir_all(rootfs).map_err(failed(rootfs))?;
            fs::create_dir_all(work_dir).map_err(failed(work_dir))?;
            let (uid, gid) = (spec.user.uid, spec.user.gid);
            std::os::unix::fs::chown(work_dir, Some(uid), Some(gid)).map_err(failed(work_dir))?;
        }
    }
    let path = dir.join("config.json");
    let bytes = serde_json::to_vec(&oci).expect("a runtime spec is plain data");
    // No flush: a bundle is of no use after a power cut, when its task is gone.
    fs::write(&path, bytes).map_err(failed(&path))?;
    Ok(path)
}
