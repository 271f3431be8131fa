//! What a change of the tree did, or would do.

use serde::{Deserialize, Serialize};

use super::deployment::DeploymentView;

/// Answer to everything that changes the tree.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChangeView {
    /// Whether this is only what would be done.
    pub is_plan: bool,
    /// What differs; empty when everything is already as asked.
    pub changes: Vec<FieldChange>,
    /// The revision that was made; none for a plan and when nothing changed.
    pub revision: Option<u64>,
    /// Deployments that were begun.
    pub deployments: Vec<DeploymentView>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldChange {
    /// Whose field: a service or app, told short.
    pub subject: String,
    /// The field's path: `template.image`, `instances`; empty for the whole.
    pub field: String,
    /// How it was; none when it is new.
    pub before: Option<String>,
    /// How it is then; none when it goes.
    pub after: Option<String>,
}
