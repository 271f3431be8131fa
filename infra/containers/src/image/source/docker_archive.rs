//! Archives as `docker save` writes them (moby image-spec v1.2, "Combined Image JSON + Filesystem Changeset").

use std::collections::BTreeMap;

use kogge_model::digest::Digest;
use serde::Deserialize;

use super::super::compression::Packing;
use super::super::error::ImageError;
use super::super::lease::Lease;
use super::super::limits::Limits;
use super::super::manifest::{Descriptor, MAX_LAYERS, Manifest, OCI_CONFIG, OCI_MANIFEST};
use super::super::reference::Reference;
use super::Files;
use crate::image::BlobStore;

/// One image of the archive.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// An image whose blobs are in the store, with the names it has.
pub(crate) struct Found {
    pub(crate) manifest: Vec<u8>,
    pub(crate) names: Vec<Reference>,
}

/// Takes every image of the archive into `blobs`; `None` when this is no such archive.
pub(crate) fn read(
    files: &dyn Files,
    blobs: &BlobStore,
    lease: &mut Lease,
    limits: &Limits,
) -> Result<Option<Vec<Found>>, ImageError> {
    let Some(bytes) = files.read_small("manifest.json")? else { return Ok(None) };
    let items: Vec<Item> =
        serde_json::from_slice(&bytes).map_err(|error| ImageError::malformed("manifest.json", error))?;
    let mut found = Vec::new();
    for item in items {
        let names =
            item.repo_tags.iter().flatten().map(|name| name.parse()).collect::<Result<Vec<_>, _>>()?;
        let manifest = manifest(&item, files, blobs, lease, limits)?;
        found.push(Found { manifest, names });
    }
    Ok(Some(found))
}

/// These archives have no manifest in OCI's sense: one is made, always the same for the same content.
fn manifest(
    item: &Item,
    files: &dyn Files,
    blobs: &BlobStore,
    lease: &mut Lease,
    limits: &Limits,
) -> Result<Vec<u8>, ImageError> {
    let layer_names = item.layers.as_deref().unwrap_or_default();
    if layer_names.len() > MAX_LAYERS {
        return Err(ImageError::malformed("manifest.json", format!("it has more than {MAX_LAYERS} layers")));
    }
    let config_digest = files.adopt(&item.config, promised(&item.config).as_ref(), blobs, lease, limits)?;
    let mut layers = Vec::new();
    for name in layer_names {
        let digest = files.adopt(name, None, blobs, lease, limits)?;
        let media_type = packing(blobs, &digest)?.media_type();
        layers.push(descriptor(media_type, digest, blobs));
    }
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(OCI_MANIFEST.to_owned()),
        config: descriptor(OCI_CONFIG, config_digest, blobs),
        layers,
    };
    Ok(serde_json::to_vec(&manifest).expect("a manifest is plain data"))
}

/// Configs are named by their digest: `<hex>.json`, or `blobs/sha256/<hex>` in newer archives.
fn promised(name: &str) -> Option<Digest> {
    let stem = name.rsplit('/').next()?.trim_end_matches(".json");
    format!("sha256:{stem}").parse().ok()
}

fn packing(blobs: &BlobStore, digest: &Digest) -> Result<Packing, ImageError> {
    let mut head = [0; 8];
    let mut reader = blobs.read(digest)?;
    let n = std::io::Read::read(&mut reader, &mut head).map_err(ImageError::read("the layer"))?;
    Packing::sniff(&head[..n])
}

pub(crate) fn descriptor(media_type: &str, digest: Digest, blobs: &BlobStore) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest,
        size: blobs.size(&digest).unwrap_or(0),
        annotations: BTreeMap::new(),
        platform: None,
    }
}
