//! The builder starts: it clears what a crash left, listens for hooks, and opens its routes.

use std::io;
use std::sync::Arc;

use axum::Router;
use kogge_host::tasks::{OnPanic, TaskGroup};
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::build::Buildah;
use crate::build::base::Bases;
use crate::build::run::{Workshop, capture};
use crate::config::Config;
use crate::git;
use crate::hook::Hooks;
use crate::ports::{Apps, BuildNetwork, Images};
use crate::push::Pushes;

/// Why the builder did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A directory or the socket cannot be made.
    #[error("cannot set up the builder: {what}")]
    SetUp {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The running builder.
pub struct Builder {
    routes: Router,
}

impl Builder {
    /// Starts in `group`, until that is cancelled.
    ///
    /// # Errors
    /// When its directories or its socket cannot be made.
    pub fn start(
        config: Config,
        apps: Arc<dyn Apps>,
        images: Arc<dyn Images>,
        network: Arc<dyn BuildNetwork>,
        group: &TaskGroup,
    ) -> Result<Self, StartError> {
        let set_up = |what| move |source| StartError::SetUp { what, source };
        let config = Arc::new(config);
        let buildah = Buildah::of(&config);
        buildah.write_settings().map_err(set_up("write buildah's settings"))?;
        clear_builds(&config).map_err(set_up("clear unfinished builds"))?;
        std::fs::create_dir_all(&config.runtime_dir).map_err(set_up("make the runtime directory"))?;
        let hooks = Hooks::bind(config.socket()).map_err(set_up("listen for git hooks"))?;
        let shop =
            Workshop { config: Arc::clone(&config), buildah, bases: Bases::default(), images, network };
        let benches = Semaphore::new(config.builds_at_once);
        let pushes = Arc::new(Pushes { shop, apps: Arc::clone(&apps), benches, turns: Default::default() });
        group.spawn("git-hooks", OnPanic::StopGroup, serve(hooks, pushes, group.clone()));
        Ok(Self { routes: git::routes(config, apps, group.clone()) })
    }

    /// What the API door serves for the builder: `/git/…`.
    pub fn routes(&self) -> Router {
        self.routes.clone()
    }
}

/// Builds do not survive the process: their directories and containers are leftovers.
fn clear_builds(config: &Config) -> io::Result<()> {
    match std::fs::remove_dir_all(config.data_dir.join("builds")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn serve(hooks: Hooks, pushes: Arc<Pushes>, group: TaskGroup) {
    trim_cache(&pushes.shop).await;
    let token = group.token();
    loop {
        let accepted = tokio::select! {
            () = token.cancelled() => return,
            accepted = hooks.accept() => accepted,
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "a git hook could not be served");
                continue;
            }
        };
        let (pushes, token) = (Arc::clone(&pushes), group.token());
        group.spawn("push", OnPanic::Log, async move {
            tokio::select! {
                () = token.cancelled() => {}
                served = pushes.serve(stream) => {
                    if let Err(error) = served {
                        tracing::info!(%error, "a push ended early");
                    }
                }
            }
        });
    }
}

/// The cache makes builds fast and costs disk: beyond its bound it is dropped as a whole, at a start, when no build
/// can need it.
async fn trim_cache(shop: &Workshop) {
    let storage = shop.buildah.storage().to_owned();
    let size = tokio::task::spawn_blocking(move || disk_bytes(&storage)).await.unwrap_or(0);
    if size <= shop.config.max_cache_bytes {
        return;
    }
    tracing::info!(size, "the build cache is beyond its bound and is dropped");
    if let Err(error) = capture(shop.buildah.clear(), &shop.buildah).await {
        tracing::warn!(%error, "the build cache could not be dropped");
    }
    shop.bases.forget();
}

fn disk_bytes(path: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}
