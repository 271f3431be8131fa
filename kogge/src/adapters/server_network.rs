//! The network of builds on a server that runs no tasks.

use std::path::PathBuf;

use kogge_builder::ports::{BuildNetwork, Pending};
use kogge_containers::network::{Network, NetworkConfig};
use kogge_host::tasks::TaskGroup;
use kogge_model::reason::Reason;
use tokio::sync::OnceCell;

use super::images::told;

/// A bridge of its own, made when the first build needs it.
pub(crate) struct ServerNetwork {
    config: NetworkConfig,
    group: TaskGroup,
    network: OnceCell<Network>,
}

impl ServerNetwork {
    pub(crate) fn new(config: NetworkConfig, group: TaskGroup) -> Self {
        Self { config, group, network: OnceCell::new() }
    }
}

impl BuildNetwork for ServerNetwork {
    fn open(&self, build: String) -> Pending<'_, Result<PathBuf, Reason>> {
        Box::pin(async move {
            let opening = || Network::open(self.config.clone(), &self.group);
            let network = self.network.get_or_try_init(opening).await;
            let network = network.map_err(|error| told(&error, None))?;
            let attached = network.attach(&format!("build-{build}"), &[]).await;
            attached.map(|attachment| attachment.namespace).map_err(|error| told(&error, None))
        })
    }

    fn close(&self, build: String) -> Pending<'_, ()> {
        Box::pin(async move {
            let Some(network) = self.network.get() else { return };
            if let Err(error) = network.detach(&format!("build-{build}")).await {
                tracing::warn!(%build, %error, "the network of a build is left behind");
            }
        })
    }
}
