//! A base image from Debian packages, told line by line.

use std::sync::Arc;

use futures_util::stream;
use kogge_containers::base_image::{BaseImageError, BaseImageSpec, build_base};
use kogge_control::ports::{BaseImageWish, Flow, Progress};
use kogge_host::tasks::OnPanic;
use kogge_model::reason::Reason;
use tokio::sync::mpsc;

use super::images::{CloudImages, view};

/// Lines on their way to whoever asked.
const LINES: usize = 64;

/// Starts making it; the flow ends with how it went. Who goes away ends it.
pub(super) async fn build(images: &CloudImages, wish: BaseImageWish) -> Result<Flow<Progress>, Reason> {
    let name = wish.name.parse().map_err(|error| super::images::reason(&error))?;
    let spec = BaseImageSpec { name, suite: wish.suite, packages: wish.packages, mirror: None };
    spec.arguments().map_err(|error| reason(&error))?;
    let (sender, receiver) = mpsc::channel(LINES);
    let (store, scratch, token) =
        (images.store.clone(), Arc::new(images.scratch.clone()), images.group.token());
    images.group.spawn("base-image", OnPanic::Log, async move {
        let (line, mut lines) = mpsc::channel(LINES);
        let making = build_base(&store, &spec, &scratch, line);
        let relaying = async {
            while let Some(line) = lines.recv().await {
                let _ = sender.send(Progress::Line(line)).await;
            }
        };
        let both = async { tokio::join!(making, relaying).0 };
        let last = tokio::select! {
            () = token.cancelled() => Progress::Failed(Reason::new("the cloud is shutting down")),
            () = sender.closed() => return,
            made = both => match made {
                Ok(record) => Progress::Done(Box::new(view(&record))),
                Err(error) => Progress::Failed(reason(&error)),
            },
        };
        let _ = sender.send(last).await;
    });
    Ok(Box::pin(stream::unfold(receiver, |mut receiver| async move {
        let progress = receiver.recv().await?;
        Some((progress, receiver))
    })))
}

fn reason(error: &BaseImageError) -> Reason {
    super::images::told(error, error.hint())
}
