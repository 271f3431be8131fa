//! Builds get a namespace on the cloud's bridge: they reach out, but none of the cloud's doors.

use std::path::PathBuf;

use kogge_agent::AgentHandle;
use kogge_builder::ports::{BuildNetwork, Pending};
use kogge_model::reason::Reason;

/// The network of the agent in this process.
pub(crate) struct AgentNetwork(pub(crate) AgentHandle);

impl BuildNetwork for AgentNetwork {
    fn open(&self, build: String) -> Pending<'_, Result<PathBuf, Reason>> {
        Box::pin(async move { self.0.open_namespace(&format!("build-{build}")).await })
    }

    fn close(&self, build: String) -> Pending<'_, ()> {
        Box::pin(async move { self.0.close_namespace(&format!("build-{build}")).await })
    }
}
