//! An app: where code is pushed to, and the services made of it.

use serde::{Deserialize, Serialize};

use super::moment::Moment;

/// An app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AppView {
    /// Told short: `hello`.
    pub app: String,
    /// Its full path: `/prod/hello`.
    pub path: String,
    /// Where to push.
    pub git_url: String,
    /// Where the router offers its default service once it is deployed.
    pub url: Option<String>,
    /// Its services, told short.
    pub services: Vec<String>,
    /// Wished instances of all services.
    pub instances: u32,
    /// Healthy instances of all services.
    pub healthy: u32,
    /// When it was last changed.
    pub changed_at: Option<Moment>,
}

/// Asks for a new app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreateAppRequest {
    /// `shop` or `/stage/shop`.
    pub name: String,
}
