//! One noun a file.

pub(crate) mod apps;
pub(crate) mod deployments;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod images;
pub(crate) mod instances;
pub(crate) mod joining;
pub(crate) mod leader;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod nodes;
pub(crate) mod services;
pub(crate) mod status;
pub(crate) mod tokens;

use axum::response::Json;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::problem::Refused;

/// What a handler of one value answers.
type Answer<T> = Result<Json<T>, Refused>;

/// Whether to do it.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Plan {
    /// Only tell what would change
    #[serde(default)]
    plan: bool,
}
