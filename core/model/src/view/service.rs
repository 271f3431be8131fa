//! A service with what is wished and what is.

use serde::{Deserialize, Serialize};

use super::deployment::DeploymentView;

/// A service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServiceView {
    /// Told short: `hello`, `shop/worker`.
    pub service: String,
    /// Its full path: `/prod/hello/web`.
    pub path: String,
    /// How many instances are wished.
    pub instances: u32,
    /// How many run.
    pub running: u32,
    /// How many of them are healthy.
    pub healthy: u32,
    /// Stopped by hand; the wish is remembered.
    pub is_stopped: bool,
    /// The image, as it was asked for.
    pub image: Option<String>,
    /// The manifest digest that is really run.
    pub image_digest: Option<String>,
    /// What overrides the image's command.
    pub command: Option<String>,
    /// Names of its environment variables; their values stay in the tree.
    pub env: Vec<String>,
    /// Limit of processor time, thousandths of a core.
    pub cpu_millis: u64,
    /// Limit of memory.
    pub mem_bytes: u64,
    /// How its health is asked for: `/healthz`, `tcp`, `cmd:…`.
    pub health: Option<String>,
    /// Where it may run.
    pub constraints: Vec<String>,
    /// Where the router offers it.
    pub urls: Vec<String>,
    /// The deployment under way, or the last one.
    pub deployment: Option<DeploymentView>,
    /// Why it is not as wished, if it is not.
    pub reason: Option<String>,
    /// What one can do about it.
    pub hint: Option<String>,
}
