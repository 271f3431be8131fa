//! The end of the cloud, asked for or not, and what keeps it from filling the disk until then.

use std::time::Duration;

use kogge_agent::{AgentHandle, Leaving};
use kogge_cli::Failure;
use kogge_containers::image::{Bounds, ImageStore, Keep};
use kogge_control::{Down, Handle};
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_model::reason::Reason;

use super::cloud::Cloud;
use super::doors;
use crate::process::{self, Signals};

/// How long requests under way may take when the cloud ends.
const DRAIN: Duration = Duration::from_secs(30);
/// How long each part may take to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks for images that nobody needs.
const COLLECT_EVERY: Duration = Duration::from_secs(3_600);
/// Names of images are given up, the least recently used first, when all images together are larger.
const IMAGES_BOUND: Bounds = Bounds { max_bytes: 20 << 30, min_idle: Duration::from_secs(24 * 3_600) };

/// Why the cloud ends.
enum Cause {
    Asked(Down),
    Signal,
    Broken(String),
}

impl Cloud {
    /// Runs until something ends it, then ends every part in order.
    pub(crate) async fn run_to_end(self) -> Result<(), Failure> {
        process::settle(&self.edge_group);
        let cause = self.cause().await?;
        let down = match &cause {
            Cause::Asked(down) => *down,
            Cause::Signal | Cause::Broken(_) => Down { keep_tasks: true },
        };
        tracing::info!(keep_tasks = down.keep_tasks, "the cloud ends");
        doors::withdraw(&self.place.doors_file());
        // Control first: it would start again what ends.
        let mut laggards = self.control_group.shutdown(PATIENCE).await;
        if !down.keep_tasks {
            laggards.extend(self.router.shutdown(DRAIN).await);
        }
        let leaving = if down.keep_tasks {
            Leaving::Keep
        } else {
            Leaving::End(Reason::new("the cloud was taken down"))
        };
        laggards.extend(self.agent.shutdown(leaving).await);
        laggards.extend(self.edge_group.shutdown(PATIENCE).await);
        if !down.keep_tasks {
            // It holds nothing that is needed again; what is in use cannot be removed and stays.
            let _ = std::fs::remove_dir_all(self.place.runtime());
        }
        for laggard in laggards {
            tracing::warn!(%laggard, "did not end in time and was cut off");
        }
        self.store.close().await;
        match cause {
            Cause::Broken(text) => {
                Err(Failure::new(text).with_hint("tasks run on; start it again with `kogge up`"))
            }
            Cause::Asked(_) | Cause::Signal => Ok(()),
        }
    }

    async fn cause(&self) -> Result<Cause, Failure> {
        let mut signals = Signals::listen()?;
        Ok(tokio::select! {
            down = self.control.asked_down() => Cause::Asked(down),
            () = signals.any() => Cause::Signal,
            reason = self.control.ended() => Cause::Broken(reason.text),
            failed = self.agent.ended() => {
                Cause::Broken(failed.unwrap_or_else(|| "the agent has ended".to_owned()))
            }
            () = self.edge_group.cancelled() => {
                Cause::Broken(self.edge_group.has_failed().unwrap_or_else(|| "a part has ended".to_owned()))
            }
        })
    }
}

/// From time to time images that nobody needs are removed; never what runs or what could be gone back to (G21).
pub(crate) fn collect_images(
    group: &TaskGroup,
    images: ImageStore,
    control: Handle,
    agent: Option<AgentHandle>,
) {
    let token = group.token();
    group.spawn("collect-images", OnPanic::Log, async move {
        loop {
            tokio::select! {
                () = token.cancelled() => return,
                () = tokio::time::sleep(COLLECT_EVERY) => {}
            }
            match collect(&images, &control, agent.as_ref()).await {
                Ok(0) => {}
                Ok(bytes) => tracing::info!(bytes, "images that nobody needs were removed"),
                Err(text) => tracing::warn!(%text, "images are not collected this time"),
            }
        }
    });
}

async fn collect(images: &ImageStore, control: &Handle, agent: Option<&AgentHandle>) -> Result<u64, String> {
    let mut manifests = control.images_in_use().await.map_err(|refusal| refusal.to_string())?;
    let mut layers = Default::default();
    if let Some(agent) = agent {
        manifests.extend(agent.pinned_images().await);
        layers = agent.layers_in_use().await.map_err(|error| error.to_string())?;
    }
    let collected = images.collect(Keep { manifests, layers }, IMAGES_BOUND).await;
    collected.map(|collected| collected.bytes).map_err(|error| error.to_string())
}
