//! Changes to services that stand already.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Asks for numbers of instances; all of it in one revision or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScaleRequest {
    /// Service → instances.
    pub instances: BTreeMap<String, u32>,
}

/// Names services for an operation on them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServicesRequest {
    /// Services, as people write them.
    pub services: Vec<String>,
}
