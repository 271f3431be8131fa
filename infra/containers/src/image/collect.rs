//! Making room: images nobody needs, within bounds that people set.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use kogge_model::digest::Digest;

use super::config::ConfigDocument;
use super::error::ImageError;
use super::manifest::MAX_DOCUMENT_BYTES;
use super::record::ImageRecord;
use super::reference::Reference;
use super::store::{ImageStore, Inner};
use crate::tree;

/// What must stay, whatever the bounds say.
#[derive(Debug, Clone, Default)]
pub struct Keep {
    /// Manifests that a rollback, a deployment or a task needs.
    pub manifests: BTreeSet<Digest>,
    /// DiffIDs under the snapshots of running tasks.
    pub layers: BTreeSet<Digest>,
}

/// When names are given up.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Names are only given up while the store is larger than this, in bytes.
    pub max_bytes: u64,
    /// Names used within this time stay in any case.
    pub min_idle: Duration,
}

/// What a collection came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Collected {
    /// Names given up.
    pub references: Vec<Reference>,
    /// Blobs removed.
    pub blobs: usize,
    /// Layers removed.
    pub layers: usize,
    /// Bytes they took.
    pub bytes: u64,
}

/// What a set of manifests leads to.
#[derive(Default)]
struct Marked {
    digests: BTreeSet<Digest>,
    bytes: u64,
}

impl ImageStore {
    /// Gives up the names least recently used until the store is within `bounds`, then removes every blob and
    /// layer that no name, no lease and nothing in `keep` leads to. Pinned names always stay.
    ///
    /// # Errors
    /// When a record cannot be read (then nothing is removed), or the disk refuses.
    pub async fn collect(&self, keep: Keep, bounds: Bounds) -> Result<Collected, ImageError> {
        let (collected, graves) = self.run(move |inner| inner.condemn(&keep, bounds)).await?;
        // Removing big trees takes long and needs no lock: they have lost their names already.
        self.run(move |_| {
            graves.iter().try_for_each(|grave| tree::remove(grave).map_err(ImageError::io("remove", grave)))
        })
        .await?;
        Ok(collected)
    }
}

impl Inner {
    fn condemn(&self, keep: &Keep, bounds: Bounds) -> Result<(Collected, Vec<PathBuf>), ImageError> {
        // New records wait until this is over; work in progress is protected by its lease.
        let _alone = self.mark();
        let mut collected = Collected::default();
        let mut records = self.records.list()?;
        for candidate in self.candidates(&records, keep, bounds) {
            if self.marked(&records, keep).bytes <= bounds.max_bytes {
                break;
            }
            self.records.remove(&candidate)?;
            records.retain(|record| record.reference != candidate);
            collected.references.push(candidate);
        }
        let marked = self.marked(&records, keep);
        let mut graves = Vec::new();
        for (digest, size) in self.blobs.list()? {
            let removed = || self.leases.unless_held(&digest, || self.blobs.remove(&digest));
            if !marked.digests.contains(&digest)
                && let Some(result) = removed()
            {
                result?;
                collected.blobs += 1;
                collected.bytes += size;
            }
        }
        for digest in self.layers.list()? {
            let bytes = self.layers.bytes(&digest);
            let condemned = || self.leases.unless_held(&digest, || self.layers.condemn(&digest));
            if !marked.digests.contains(&digest)
                && let Some(grave) = condemned().transpose()?.flatten()
            {
                graves.push(grave);
                collected.layers += 1;
                collected.bytes += bytes;
            }
        }
        Ok((collected, graves))
    }

    /// Names that may be given up, least recently used first.
    fn candidates(&self, records: &[ImageRecord], keep: &Keep, bounds: Bounds) -> Vec<Reference> {
        let now = SystemTime::now();
        let mut candidates: Vec<(SystemTime, Reference)> = records
            .iter()
            .filter(|record| !record.is_pinned && !keep.manifests.contains(&record.manifest))
            .map(|record| (self.records.used_at(&record.reference), record.reference.clone()))
            .filter(|(used_at, _)| now.duration_since(*used_at).unwrap_or_default() >= bounds.min_idle)
            .collect();
        candidates.sort();
        candidates.into_iter().map(|(_, reference)| reference).collect()
    }

    fn marked(&self, records: &[ImageRecord], keep: &Keep) -> Marked {
        let mut marked = Marked::default();
        let mut add = |digest: Digest, bytes: u64| {
            if marked.digests.insert(digest) {
                marked.bytes += bytes;
            }
        };
        let manifests: BTreeSet<Digest> =
            records.iter().map(|record| record.manifest).chain(keep.manifests.iter().copied()).collect();
        for digest in manifests {
            let Ok((manifest, size)) = self.manifest(&digest) else { continue };
            add(digest, size);
            for part in std::iter::once(&manifest.config).chain(&manifest.layers) {
                add(part.digest, part.size);
            }
            let config = self.blobs.read_small(&manifest.config.digest, MAX_DOCUMENT_BYTES);
            let document = config.and_then(|bytes| ConfigDocument::parse(&bytes, "a config"));
            for diff_id in document.into_iter().flat_map(|document| document.diff_ids) {
                add(diff_id, self.layers.bytes(&diff_id));
            }
        }
        for layer in &keep.layers {
            add(*layer, self.layers.bytes(layer));
        }
        marked
    }
}
