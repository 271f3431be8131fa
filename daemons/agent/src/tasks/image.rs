//! The image a task wants: here, from the servers, or from the registry in its name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use kogge_containers::image::{FetchProgress, Image, ImageError, Reference};
use kogge_model::digest::Digest;
use kogge_model::id::TaskId;
use kogge_model::image::ImageRef;
use kogge_model::reason::Reason;
use kogge_node::Input;

use super::Machine;

/// What comes sooner is not told of.
const TELL_AFTER: Duration = Duration::from_secs(1);

/// Between two words about the same image.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// How far the images are that are being fetched, for all who wait for them.
#[derive(Debug, Default)]
pub(crate) struct Fetches(Mutex<BTreeMap<Digest, Weak<FetchProgress>>>);

impl Fetches {
    /// Shared by all who hold it at the same time.
    fn of(&self, image: &Digest) -> Arc<FetchProgress> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(image).and_then(Weak::upgrade) {
            return known;
        }
        all.retain(|_, progress| progress.strong_count() > 0);
        let progress = Arc::new(FetchProgress::default());
        all.insert(*image, Arc::downgrade(&progress));
        progress
    }
}

impl Machine {
    /// The image, by its digest; what is not here comes from the servers, or by its name from a registry. A fetch that takes its time is told of: it takes no place from other starts.
    pub(super) async fn image(&self, task: &TaskId, wanted: &ImageRef) -> Result<Image, ImageError> {
        let missing = match self.images.image(&wanted.digest).await {
            Err(error @ ImageError::NotFound { .. }) => error,
            other => return other,
        };
        let progress = self.fetches.of(&wanted.digest);
        let fetched = self.fetched(wanted, missing, &progress);
        tokio::pin!(fetched);
        let mut told = None;
        let mut patience = TELL_AFTER;
        loop {
            tokio::select! {
                image = &mut fetched => {
                    if told.is_some() {
                        self.mailbox.tell(Input::Fetched { task: task.clone() }).await;
                    }
                    return image;
                }
                () = tokio::time::sleep(patience) => {}
            }
            patience = TELL_EVERY;
            let text = how_far(wanted, &progress);
            if told.as_ref() != Some(&text) {
                let reason = Reason::new(text.clone());
                self.mailbox.tell(Input::Fetching { task: task.clone(), reason }).await;
                told = Some(text);
            }
        }
    }

    async fn fetched(
        &self,
        wanted: &ImageRef,
        missing: ImageError,
        progress: &FetchProgress,
    ) -> Result<Image, ImageError> {
        // Many instances of a service start at once: the first one fetches for all.
        let _alone = self.pulls.alone(&wanted.digest).await;
        if let Ok(image) = self.images.image(&wanted.digest).await {
            return Ok(image);
        }
        let reference: Reference = format!("{}@{}", wanted.name, wanted.digest).parse()?;
        let fetched = match &self.peer {
            Some(peer) => {
                let fetch = self.images.fetch(peer, wanted.digest, reference.clone(), progress);
                fetch.await.map(drop)
            }
            None => Err(missing),
        };
        match fetched {
            Err(error) if reference.registry().is_none() => return Err(error),
            Err(error) => {
                tracing::debug!(%error, image = %reference, "not from the servers, so from its registry");
                self.images.pull(&reference, None, false, progress).await?;
            }
            Ok(()) => {}
        }
        self.images.image(&wanted.digest).await
    }
}

fn how_far(wanted: &ImageRef, progress: &FetchProgress) -> String {
    match progress.share() {
        Some((here, whole)) => format!("fetches image {}: {here} of {whole} are here", wanted.name),
        None => format!("fetches image {}", wanted.name),
    }
}
