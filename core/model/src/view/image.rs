//! Images in the cloud's own store.

use serde::{Deserialize, Serialize};

use super::moment::Moment;
use super::problem::Problem;

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImageView {
    /// Its name, normalised: `hello:latest`; none when a newer image took the name.
    pub name: Option<String>,
    /// The manifest's digest.
    pub digest: String,
    /// Bytes it takes in the store, layers shared with others included.
    pub size_bytes: u64,
    /// When it came into the store.
    pub added_at: Option<Moment>,
    /// Services that run it or can roll back to it.
    pub used_by: Vec<String>,
}

/// Asks for a base image made of Debian packages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BuildBaseRequest {
    /// What the image is called; `kogge/base:12` when left out.
    #[serde(default)]
    pub name: Option<String>,
    /// The Debian suite; `bookworm` when left out.
    #[serde(default)]
    pub suite: Option<String>,
    /// Packages beside the minimum.
    #[serde(default)]
    pub packages: Vec<String>,
}

/// One step of a long operation; the last one has a result or a problem.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProgressView {
    /// What is being done, or a line of output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageView>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}
