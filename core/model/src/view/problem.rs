//! Why a request was not done.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// A problem document (RFC 9457), `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// A URI that names the kind of problem: `urn:kogge:problem:not-found`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The kind in a few words.
    #[serde(default)]
    pub title: String,
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// What failed, then why, in this very case.
    #[serde(default)]
    pub detail: String,
    /// What to do, often a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Every field of the request that breaks a rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

impl Problem {
    /// The media type.
    pub const MEDIA_TYPE: &str = "application/problem+json";
    /// What every kind begins with.
    pub const KIND_PREFIX: &str = "urn:kogge:problem:";
    /// The kind of a request that another server has to do: this one has changed nothing.
    pub const NOT_LEADER: &str = "not-leader";

    /// Whether another server has to do it.
    #[must_use]
    pub fn is_not_leader(&self) -> bool {
        self.kind.strip_prefix(Self::KIND_PREFIX) == Some(Self::NOT_LEADER)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.detail.is_empty() { &self.title } else { &self.detail })?;
        // One fault alone is the detail already.
        let listed = if self.faults.len() > 1 { self.faults.as_slice() } else { &[] };
        listed.iter().try_for_each(|fault| write!(f, "\n  {}: {}", fault.field, fault.rule))
    }
}

impl std::error::Error for Problem {}
