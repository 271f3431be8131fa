//! Base images that this cloud has go into buildah's storage before the build, so that no registry is needed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use kogge_model::digest::Digest;
use kogge_model::reason::Reason;

use crate::build::run::{Lines, capture};
use crate::build::{BuildError, Buildah};
use crate::ports::Images;

/// Which images buildah has under which name.
#[derive(Debug, Default)]
pub(crate) struct Bases {
    known: Mutex<BTreeMap<String, Digest>>,
    turn: tokio::sync::Mutex<()>,
}

impl Bases {
    /// Sees that buildah has what `names` stand for here. Names that are not here are left to buildah, which asks
    /// their registry.
    pub(crate) async fn provide(
        &self,
        names: &[String],
        images: &dyn Images,
        buildah: &Buildah,
        scratch: PathBuf,
        lines: &Lines,
    ) -> Result<(), BuildError> {
        let _turn = self.turn.lock().await;
        for (i, name) in names.iter().enumerate() {
            let directory = format!("base-{i}");
            let layout = scratch.join(&directory);
            let exported = images.export(name.clone(), layout.clone()).await.map_err(BuildError::Machine)?;
            let Some(image) = exported else { continue };
            if self.known().get(name) != Some(&image.digest) {
                lines.say(format!("taking {name} from this cloud's images")).await;
                let pull = buildah.pull(&scratch, &directory);
                self.take(name, image.digest, buildah, pull).await?;
            }
            // It is only a copy; what cannot be removed goes with the build's directory.
            let _ = tokio::fs::remove_dir_all(&layout).await;
        }
        Ok(())
    }

    async fn take(
        &self,
        name: &str,
        digest: Digest,
        buildah: &Buildah,
        pull: Vec<OsString>,
    ) -> Result<(), BuildError> {
        let printed = capture(pull, buildah).await?;
        let id = printed.lines().last().unwrap_or_default().trim().to_owned();
        if id.is_empty() {
            return Err(BuildError::Machine(Reason::new(format!("buildah did not take {name}"))));
        }
        capture(buildah.tag(&id, name), buildah).await?;
        self.known().insert(name.to_owned(), digest);
        Ok(())
    }

    /// Buildah's storage was cleared.
    pub(crate) fn forget(&self) {
        self.known().clear();
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Digest>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
