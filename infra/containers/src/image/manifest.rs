//! Manifests and indexes of OCI (image-spec v1.1, manifest.md and image-index.md) and Docker (schema 2).

use std::collections::BTreeMap;

use kogge_model::digest::Digest;
use serde::{Deserialize, Serialize};

use super::error::ImageError;

/// Documents larger than this are no manifests; the distribution spec asks registries for 4 MiB.
pub(crate) const MAX_DOCUMENT_BYTES: u64 = 4 << 20;
/// Overlayfs and Docker agree on this bound.
pub(crate) const MAX_LAYERS: usize = 127;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Every document that [`Document::parse`] understands.
pub(crate) const ACCEPTED: [&str; 4] = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST];

/// Points at content by digest (image-spec, descriptor.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    pub media_type: String,
    /// Its name.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Notes, such as the image's name in an index.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What it runs on, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

/// What an image runs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// In the words of Go: `amd64`, `arm64`.
    pub architecture: String,
    /// `linux`, or `unknown` for what is no image.
    pub os: String,
}

/// One image: its config and its layers, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// Which of the two formats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The config document.
    pub config: Descriptor,
    /// Lowest first.
    pub layers: Vec<Descriptor>,
}

/// A list of manifests, usually one a platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// Which of the two formats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// In order of preference.
    pub manifests: Vec<Descriptor>,
}

/// What a digest or tag of an image can lead to.
#[derive(Debug, Clone)]
pub(crate) enum Document {
    Manifest(Manifest),
    Index(Index),
}

impl Document {
    /// Parses by shape, not by the media type: registries and archives often leave it out.
    pub(crate) fn parse(bytes: &[u8], what: &str) -> Result<Self, ImageError> {
        let value: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|error| ImageError::malformed(what, error))?;
        if value.get("manifests").is_some() {
            let index = serde_json::from_value(value).map_err(|error| ImageError::malformed(what, error))?;
            return Ok(Self::Index(index));
        }
        if value.get("schemaVersion").and_then(serde_json::Value::as_u64) == Some(1) {
            let why = "manifests of Docker's schema 1 carry no digests of their layers".to_owned();
            return Err(ImageError::Unsupported { what: what.to_owned(), why });
        }
        let manifest: Manifest =
            serde_json::from_value(value).map_err(|error| ImageError::malformed(what, error))?;
        if manifest.layers.len() > MAX_LAYERS {
            let limit = u64::try_from(MAX_LAYERS).unwrap_or(u64::MAX);
            return Err(ImageError::TooLarge {
                what: format!("the layer list of {what}"),
                limit,
                unit: "layers",
            });
        }
        Ok(Self::Manifest(manifest))
    }
}

impl Index {
    /// The entry for this machine: exact platform first, then one that names none.
    pub(crate) fn for_this_machine(&self, what: &str) -> Result<&Descriptor, ImageError> {
        let own = own_platform();
        let fits = |entry: &&Descriptor| entry.platform.as_ref().is_some_and(|platform| *platform == own);
        let open = |entry: &&Descriptor| entry.platform.is_none();
        self.manifests.iter().find(fits).or_else(|| self.manifests.iter().find(open)).ok_or_else(|| {
            let offered: Vec<String> = self
                .manifests
                .iter()
                .filter_map(|entry| entry.platform.as_ref())
                .map(|platform| format!("{}/{}", platform.os, platform.architecture))
                .collect();
            ImageError::Unsupported {
                what: what.to_owned(),
                why: format!("it is for {}, this machine is linux/{}", offered.join(", "), own.architecture),
            }
        })
    }
}

/// This machine in the words of image-spec.
pub(crate) fn own_platform() -> Platform {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    };
    Platform { architecture: architecture.to_owned(), os: "linux".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(os: &str, architecture: &str, seed: &[u8]) -> Descriptor {
        Descriptor {
            media_type: OCI_MANIFEST.to_owned(),
            digest: Digest::of(seed),
            size: 1,
            annotations: BTreeMap::new(),
            platform: Some(Platform { architecture: architecture.to_owned(), os: os.to_owned() }),
        }
    }

    #[test]
    fn the_own_platform_is_chosen_and_a_foreign_one_refused() {
        let own = own_platform();
        let mut index = Index {
            schema_version: 2,
            media_type: None,
            manifests: vec![entry("windows", "amd64", b"w"), entry("linux", &own.architecture, b"l")],
        };
        assert_eq!(index.for_this_machine("x").unwrap().digest, Digest::of(b"l"));
        index.manifests.truncate(1);
        let error = index.for_this_machine("x").unwrap_err().to_string();
        assert!(error.contains("windows/amd64"), "{error}");
    }

    #[test]
    fn too_many_layers_are_refused() {
        let layer = entry("linux", "amd64", b"x");
        let manifest =
            Manifest { schema_version: 2, media_type: None, config: layer.clone(), layers: vec![layer; 128] };
        let bytes = serde_json::to_vec(&manifest).unwrap();
        assert!(matches!(Document::parse(&bytes, "x"), Err(ImageError::TooLarge { .. })));
    }
}
