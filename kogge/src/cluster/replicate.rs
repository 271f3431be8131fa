//! Images are on every server, not only on the one that was given them: whoever leads next has them, too.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use kogge_containers::image::{FetchProgress, ImageError, ImageStore, Peer, PeerBlob, Reference};
use kogge_control::{Handle, ServerRecord};
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_model::digest::Digest;
use kogge_model::image::ImageRef;
use tokio::sync::watch;

use crate::adapters::LateDoor;

/// Between two looks for images that are not here yet.
const LOOK: Duration = Duration::from_secs(1);

/// The image stores of all other servers.
struct OtherServers {
    own: String,
    servers: watch::Receiver<Vec<ServerRecord>>,
    door: LateDoor,
}

impl Peer for OtherServers {
    fn open(&self, digest: Digest, offset: u64) -> BoxFuture<'_, io::Result<PeerBlob>> {
        Box::pin(async move {
            let missing = || io::Error::other(format!("no other server has {digest}"));
            let door = self.door.get().ok_or_else(missing)?;
            let others = self.servers.borrow().clone();
            for server in others.into_iter().filter(|server| server.name != self.own) {
                let Some(address) = server.door else { continue };
                match door.fetch(&address, digest, offset).await {
                    Ok(blob) => {
                        let pieces =
                            blob.pieces.map(|piece| piece.map_err(|reason| io::Error::other(reason.text)));
                        return Ok(PeerBlob { size_bytes: blob.size_bytes, pieces: pieces.boxed() });
                    }
                    Err(reason) => tracing::debug!(server = %server.name, %reason, "a blob is not there"),
                }
            }
            Err(missing())
        })
    }
}

/// Fetches what services need, or could go back to, until `group` ends.
pub(super) fn start(own: &str, control: &Handle, images: &ImageStore, door: LateDoor, group: &TaskGroup) {
    let others: Arc<dyn Peer> =
        Arc::new(OtherServers { own: own.to_owned(), servers: control.servers(), door });
    let (control, images, token) = (control.clone(), images.clone(), group.token());
    group.spawn("images of other servers", OnPanic::Log, async move {
        let replicating = async {
            loop {
                tokio::time::sleep(LOOK).await;
                let kept = control.images_wanted().unwrap_or_default();
                for image in kept {
                    if let Err(error) = fetch(&images, &others, &image).await {
                        tracing::warn!(image = %image.name, %error, "an image is not on this server yet");
                    }
                }
            }
        };
        tokio::select! {
            () = token.cancelled() => {}
            () = replicating => {}
        }
    });
}

/// Makes sure that an image is here, under its name if that is free.
async fn fetch(images: &ImageStore, others: &Arc<dyn Peer>, image: &ImageRef) -> Result<(), ImageError> {
    match images.image(&image.digest).await {
        Err(ImageError::NotFound { .. }) => {}
        other => return other.map(drop),
    }
    let name: Reference = image.name.parse()?;
    let name = match images.resolve(&name).await {
        Err(ImageError::NotFound { .. }) => name,
        _ => format!("{}@{}", image.name, image.digest).parse()?,
    };
    images.fetch(others, image.digest, name, &FetchProgress::default()).await?;
    tracing::info!(image = %image.name, "fetched from another server");
    Ok(())
}
