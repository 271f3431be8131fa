//! Layouts as OCI describes them (image-spec v1.1, image-layout.md), as a directory or a tar archive of it.

use kogge_model::digest::Digest;

use super::super::error::ImageError;
use super::super::lease::Lease;
use super::super::limits::Limits;
use super::super::manifest::{Descriptor, Document, Index};
use super::super::reference::Reference;
use super::docker_archive::Found;
use super::{Files, missing};
use crate::image::BlobStore;

/// The name of an entry (image-spec, annotations.md); some writers put the tag alone here.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The whole name, as containerd and newer Docker write it.
const IMAGE_NAME: &str = "io.containerd.image.name";
/// Indexes may hold indexes; honest ones do so once.
const MAX_NESTING: usize = 3;

/// Takes the images of a layout into `blobs`; `None` when this is no layout. With `wanted`, only the entry with
/// that name; with `named`, the one image gets that name whatever the layout says.
pub(crate) fn read(
    files: &dyn Files,
    wanted: Option<&str>,
    named: Option<&Reference>,
    blobs: &BlobStore,
    lease: &mut Lease,
    limits: &Limits,
) -> Result<Option<Vec<Found>>, ImageError> {
    let Some(bytes) = files.read_small("index.json")? else { return Ok(None) };
    let Document::Index(mut index) = Document::parse(&bytes, "index.json")? else {
        return Err(ImageError::malformed("index.json", "it lists no manifests"));
    };
    if let Some(wanted) = wanted {
        index.manifests.retain(|entry| names_of(entry).any(|name| name == wanted));
        if index.manifests.is_empty() {
            return Err(ImageError::NotFound { reference: wanted.to_owned() });
        }
    }
    let mut reader = Reader { files, blobs, lease, limits };
    if let Some(name) = named {
        // Several entries under one name are its platforms.
        let entry = match index.manifests.as_slice() {
            [entry] => entry,
            _ => index.for_this_machine("the layout")?,
        };
        return Ok(Some(vec![Found { manifest: reader.image(entry, 0)?, names: vec![name.clone()] }]));
    }
    let mut found = Vec::new();
    for entry in &index.manifests {
        let names: Vec<Reference> = names_of(entry).filter_map(whole_name).collect();
        if let Some(name) = names.into_iter().next() {
            found.push(Found { manifest: reader.image(entry, 0)?, names: vec![name] });
        }
    }
    Ok(Some(found))
}

fn names_of(entry: &Descriptor) -> impl Iterator<Item = &str> {
    [IMAGE_NAME, REF_NAME].into_iter().filter_map(|key| entry.annotations.get(key)).map(String::as_str)
}

/// A bare word is a tag without a name, which names nothing.
fn whole_name(text: &str) -> Option<Reference> {
    if text.contains([':', '/', '@']) { text.parse().ok() } else { None }
}

struct Reader<'a> {
    files: &'a dyn Files,
    blobs: &'a BlobStore,
    lease: &'a mut Lease,
    limits: &'a Limits,
}

impl Reader<'_> {
    /// The manifest's bytes, after its config and layers have been taken in.
    fn image(&mut self, entry: &Descriptor, nesting: usize) -> Result<Vec<u8>, ImageError> {
        let name = blob_name(&entry.digest);
        let bytes = self.files.read_small(&name)?.ok_or_else(|| missing(&name))?;
        super::super::blob::check(&name, Some(&entry.digest), &Digest::of(&bytes))?;
        match Document::parse(&bytes, &name)? {
            Document::Index(_) if nesting >= MAX_NESTING => {
                Err(ImageError::malformed("the layout", "its indexes are nested too deep"))
            }
            Document::Index(index) => self.image(choose(&index)?, nesting + 1),
            Document::Manifest(manifest) => {
                for part in std::iter::once(&manifest.config).chain(&manifest.layers) {
                    let name = blob_name(&part.digest);
                    self.files.adopt(&name, Some(&part.digest), self.blobs, self.lease, self.limits)?;
                }
                Ok(bytes)
            }
        }
    }
}

fn choose(index: &Index) -> Result<&Descriptor, ImageError> {
    index.for_this_machine("the layout")
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
