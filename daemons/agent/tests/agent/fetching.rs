//! Images that come from another machine, slowly.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use kogge_containers::Workers;
use kogge_containers::image::{ImageStore, Limits, Peer, PeerBlob};
use kogge_model::digest::Digest;
use kogge_model::image::ImageRef;
use kogge_model::template::{Command, TaskTemplate};
use tokio::sync::watch;

use crate::busybox;
use crate::cloud::{Place, spec};

/// Smaller blobs come at once.
const LARGE: usize = 64 * 1024;

/// A store that gives half of each large blob, and the rest when its gate is open.
struct HalfWay {
    store: ImageStore,
    gate: watch::Receiver<bool>,
}

impl HalfWay {
    async fn with_busybox(root: &Path, gate: watch::Receiver<bool>) -> (Self, ImageRef) {
        let store = ImageStore::open(root, Limits::default(), Workers::new(1)).unwrap();
        let image = busybox::load(&store).await;
        (Self { store, gate }, image)
    }
}

impl Peer for HalfWay {
    fn open(&self, digest: Digest, offset: u64) -> BoxFuture<'_, io::Result<PeerBlob>> {
        let (path, mut gate) = (self.store.blobs().path(&digest), self.gate.clone());
        async move {
            let whole = Bytes::from(std::fs::read(path)?);
            let size_bytes = whole.len() as u64;
            let mut first = whole.slice(usize::try_from(offset).unwrap()..);
            let rest = first.split_off(if first.len() > LARGE { first.len() / 2 } else { first.len() });
            let later = async move {
                if !rest.is_empty() {
                    gate.wait_for(|is_open| *is_open).await.map_err(io::Error::other)?;
                }
                Ok(rest)
            };
            let pieces = stream::once(async { Ok(first) }).chain(stream::once(later)).boxed();
            Ok(PeerBlob { size_bytes, pieces })
        }
        .boxed()
    }
}

#[tokio::test]
async fn an_image_that_takes_its_time_is_told_of_and_holds_nobody_up() {
    let (open, gate) = watch::channel(false);
    let elsewhere = tempfile::tempdir().unwrap();
    let (peer, image) = HalfWay::with_busybox(elsewhere.path(), gate).await;
    let place = Place::new();
    let cloud = place.start_beside(Arc::new(peer), image).await;
    let slow = cloud.control.launch(cloud.shell("slow", "sleep 1000"));
    let told = cloud.control.until(&slow, |heard| heard.reason.text.contains("are here")).await;
    assert!(told.reason.text.starts_with("fetches image busybox:test: "), "{}", told.reason);

    let command = Command::Exec(vec!["sleep".into(), "1000".into()]);
    let quick = TaskTemplate { command: Some(command), ..TaskTemplate::default() };
    let quick = cloud.control.launch(spec("quick", quick));
    cloud.control.running(&quick).await;
    assert_eq!(cloud.control.heard(&slow).unwrap().state.word(), "starting", "it still waits");

    open.send(true).unwrap();
    let running = cloud.control.until(&slow, |heard| heard.reason.text == "started").await;
    assert_eq!(running.state.word(), "running");
    cloud.end(&place).await;
}
