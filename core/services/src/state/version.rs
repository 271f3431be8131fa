//! One version of a service: a spec with the digest of what its instances run.

use std::sync::Arc;

use kogge_model::digest::Digest;
use kogge_model::id::RevisionId;
use kogge_model::service::ServiceSpec;
use kogge_model::template::TaskTemplate;
use serde::{Deserialize, Serialize};

/// A spec as a revision said it. Two versions are alike for instances when their digests are equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Version {
    /// The revision that said so first.
    pub revision: RevisionId,
    /// What it said.
    pub spec: Arc<ServiceSpec>,
    /// What its instances run; shared by all of them.
    pub template: Arc<TaskTemplate>,
    /// The template's digest.
    pub digest: Digest,
}

/// A version without what follows from its spec.
#[derive(Serialize, Deserialize)]
struct Stored {
    revision: RevisionId,
    spec: Arc<ServiceSpec>,
}

impl Version {
    /// The version that `revision` asks for.
    #[must_use]
    pub fn new(revision: RevisionId, spec: Arc<ServiceSpec>) -> Self {
        let template = Arc::new(spec.template.clone());
        let digest = template.digest();
        Self { revision, spec, template, digest }
    }
}

impl From<Stored> for Version {
    fn from(stored: Stored) -> Self {
        Self::new(stored.revision, stored.spec)
    }
}

impl From<Version> for Stored {
    fn from(version: Version) -> Self {
        Self { revision: version.revision, spec: version.spec }
    }
}
