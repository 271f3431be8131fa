//! Where the cloud can be talked to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Door → URL: `api`, `router_http`, ….
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DoorsView(pub BTreeMap<String, String>);

impl DoorsView {
    /// The native API's door.
    pub const API: &str = "api";
    /// The same with TLS, for whoever has a token; open when the API is bound beyond loopback.
    pub const API_TLS: &str = "api_tls";
    /// The router's door for plain HTTP.
    pub const ROUTER_HTTP: &str = "router_http";

    /// The door for agents and other servers: what `kogge join` takes.
    pub const AGENTS: &str = "agents";

    /// The URL of a door, if it is open.
    #[must_use]
    pub fn url(&self, door: &str) -> Option<&str> {
        self.0.get(door).map(String::as_str)
    }
}
