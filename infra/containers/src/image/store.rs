//! The image store: what the rest of Kogge sees of images.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kogge_model::digest::Digest;

use super::blob::{BlobStore, check};
use super::config::{ConfigDocument, ImageConfig};
use super::error::ImageError;
use super::layer::LayerStore;
use super::lease::{Lease, Leases};
use super::limits::Limits;
use super::manifest::{Document, MAX_DOCUMENT_BYTES, Manifest};
use super::record::{ImageRecord, Records};
use super::reference::Reference;
use crate::workers::Workers;
use crate::{durable, tree};

/// Uploads and pulls that may write at the same time; further ones wait. They have places of their own, so that
/// slow senders cannot hold up the start of a task.
const PARALLEL_UPLOADS: usize = 4;

/// All images of one cloud on this machine. Clones share the store.
///
/// One process may have a directory open at a time; whoever owns the data directory sees to that.
#[derive(Debug, Clone)]
pub struct ImageStore {
    pub(super) inner: Arc<Inner>,
}

/// The blocking half: everything here touches the disk and belongs into [`Workers`].
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) unfinished: PathBuf,
    pub(super) blobs: BlobStore,
    pub(super) layers: LayerStore,
    pub(super) records: Records,
    pub(super) leases: Leases,
    pub(super) limits: Limits,
    pub(super) workers: Workers,
    pub(super) uploads: Workers,
    /// Held while a record is written and while garbage is told from what is in use.
    marking: Mutex<()>,
}

/// An image ready to be run. While it lives, nothing of it is collected.
#[derive(Debug)]
pub struct Image {
    /// The manifest's digest: what a revision remembers.
    pub manifest: Digest,
    /// What it runs by default.
    pub config: ImageConfig,
    /// DiffIDs, topmost first.
    pub layers: Vec<Digest>,
    /// The unpacked layers, topmost first, as overlayfs wants its lower directories.
    pub lower: Vec<PathBuf>,
    /// `linux/amd64`.
    pub platform: String,
    /// Bytes of the manifest, the config and the packed layers.
    pub size_bytes: u64,
    _lease: Lease,
}

/// What the store takes on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskUse {
    /// Bytes of manifests, configs and packed layers.
    pub blob_bytes: u64,
    /// Bytes of unpacked files.
    pub layer_bytes: u64,
}

impl DiskUse {
    /// Both together.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.blob_bytes + self.layer_bytes
    }
}

impl ImageStore {
    /// Opens the store in `root`, making it if need be, and removes what an earlier process did not finish.
    /// Blocking, for the start of the process.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn open(root: &Path, limits: Limits, workers: Workers) -> Result<Self, ImageError> {
        let unfinished = root.join("unfinished");
        if let Err(error) = tree::remove(&unfinished) {
            return Err(ImageError::io("empty", &unfinished)(error));
        }
        fs::create_dir_all(&unfinished).map_err(ImageError::io("make", &unfinished))?;
        // Images hold setuid programs of strangers: users of this machine must not reach them.
        durable::close_to_others(root).map_err(ImageError::io("close to others", root))?;
        let records = Records::open(root)?;
        records.sweep()?;
        let inner = Inner {
            blobs: BlobStore::open(root, &unfinished)?,
            layers: LayerStore::open(root, &unfinished)?,
            records,
            unfinished,
            leases: Leases::default(),
            limits,
            workers,
            uploads: Workers::new(PARALLEL_UPLOADS),
            marking: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The blobs, for whoever serves them.
    #[must_use]
    pub fn blobs(&self) -> &BlobStore {
        &self.inner.blobs
    }

    /// The image that `reference` stands for now.
    ///
    /// # Errors
    /// When it is not here or damaged.
    pub async fn resolve(&self, reference: &Reference) -> Result<Image, ImageError> {
        let reference = reference.clone();
        self.run(move |inner| {
            let not_found = || ImageError::NotFound { reference: reference.to_string() };
            let record = inner.records.get(&reference)?;
            let digest = record.map(|record| record.manifest).or(reference.digest()).ok_or_else(not_found)?;
            inner.records.touch(&reference);
            inner.image(&digest).map_err(|error| match error {
                ImageError::NotFound { .. } => not_found(),
                other => other,
            })
        })
        .await
    }

    /// The image with that manifest, whether or not a name still stands for it.
    ///
    /// # Errors
    /// When it is not here or damaged.
    pub async fn image(&self, manifest: &Digest) -> Result<Image, ImageError> {
        let digest = *manifest;
        self.run(move |inner| inner.image(&digest)).await
    }

    /// Every name, in order.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub async fn list(&self) -> Result<Vec<ImageRecord>, ImageError> {
        self.run(|inner| inner.records.list()).await
    }

    /// Forgets a name. Its content goes with the next collection, unless something else needs it.
    ///
    /// # Errors
    /// When there is no such name.
    pub async fn remove(&self, reference: &Reference) -> Result<(), ImageError> {
        let reference = reference.clone();
        self.run(move |inner| {
            let _alone = inner.mark();
            let was_there = inner.records.remove(&reference)?;
            if was_there { Ok(()) } else { Err(ImageError::NotFound { reference: reference.to_string() }) }
        })
        .await
    }

    /// Gives the image `manifest` one more name.
    ///
    /// # Errors
    /// When it is not here.
    pub async fn tag(
        &self,
        manifest: &Digest,
        name: &Reference,
        is_pinned: bool,
    ) -> Result<ImageRecord, ImageError> {
        let (digest, name) = (*manifest, name.clone());
        self.run(move |inner| {
            let image = inner.image(&digest)?;
            inner.name(&image, name, is_pinned)
        })
        .await
    }

    /// What the store takes on the disk.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn disk_use(&self) -> Result<DiskUse, ImageError> {
        self.run(|inner| inner.disk_use()).await
    }

    /// Runs blocking work on the store within its bound.
    pub(super) async fn run<T, F>(&self, job: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(&Inner) -> T + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        self.inner.workers.run(move || job(&inner)).await
    }
}

impl Inner {
    pub(super) fn mark(&self) -> MutexGuard<'_, ()> {
        self.marking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens an image by its manifest; layers that are missing are unpacked anew from their blobs.
    pub(super) fn image(&self, digest: &Digest) -> Result<Image, ImageError> {
        let mut lease = self.leases.lease();
        lease.add(*digest);
        let (manifest, size) = self.manifest(digest)?;
        for part in std::iter::once(&manifest.config).chain(&manifest.layers) {
            lease.add(part.digest);
        }
        let what = format!("the config of {digest}");
        let document = ConfigDocument::parse(
            &self.blobs.read_small(&manifest.config.digest, MAX_DOCUMENT_BYTES)?,
            &what,
        )?;
        if document.diff_ids.len() != manifest.layers.len() {
            let why = format!("{} layers, but {} diff ids", manifest.layers.len(), document.diff_ids.len());
            return Err(ImageError::malformed(what, why));
        }
        for (diff_id, layer) in document.diff_ids.iter().zip(&manifest.layers) {
            lease.add(*diff_id);
            self.layers.ensure(diff_id, &self.limits, || self.blobs.read(&layer.digest))?;
        }
        let layers: Vec<Digest> = document.diff_ids.iter().rev().copied().collect();
        let lower = layers.iter().map(|diff_id| self.layers.path(diff_id)).collect();
        let parts = std::iter::once(&manifest.config).chain(&manifest.layers);
        let size_bytes = size + parts.map(|part| part.size).sum::<u64>();
        let (config, platform) = (document.config, document.platform);
        Ok(Image { manifest: *digest, config, layers, lower, platform, size_bytes, _lease: lease })
    }

    pub(super) fn manifest(&self, digest: &Digest) -> Result<(Manifest, u64), ImageError> {
        let bytes = self.blobs.read_small(digest, MAX_DOCUMENT_BYTES)?;
        match Document::parse(&bytes, &format!("the manifest {digest}"))? {
            Document::Manifest(manifest) => Ok((manifest, bytes.len() as u64)),
            Document::Index(_) => {
                Err(ImageError::malformed(format!("blob {digest}"), "it is an index, not an image"))
            }
        }
    }

    /// Stores a manifest whose parts are here already, unpacks its layers and gives it its names.
    pub(super) fn commit(
        &self,
        manifest: &[u8],
        names: &[Reference],
        is_pinned: bool,
        lease: &mut Lease,
    ) -> Result<Vec<ImageRecord>, ImageError> {
        let digest = Digest::of(manifest);
        lease.add(digest);
        if let Document::Manifest(parsed) = Document::parse(manifest, "the manifest")? {
            for part in std::iter::once(&parsed.config).chain(&parsed.layers) {
                let size = self.blobs.size(&part.digest);
                if size != Some(part.size) {
                    let why = format!("{} should have {} bytes and has {size:?}", part.digest, part.size);
                    return Err(ImageError::malformed("the manifest", why));
                }
            }
        }
        check("the manifest", Some(&digest), &self.blobs.put(manifest)?)?;
        let image = self.image(&digest)?;
        names.iter().map(|name| self.name(&image, name.clone(), is_pinned)).collect()
    }

    fn name(&self, image: &Image, reference: Reference, is_pinned: bool) -> Result<ImageRecord, ImageError> {
        if let Some(promised) = reference.digest() {
            // `name@digest` of an index leads to another manifest; only a plain contradiction is an error.
            let is_here = self.blobs.size(&promised).is_some();
            check(&reference.to_string(), Some(&promised).filter(|_| is_here), &image.manifest)?;
        }
        let record = ImageRecord {
            reference,
            manifest: image.manifest,
            created_at: kogge_host::clock::now(),
            size_bytes: image.size_bytes,
            platform: image.platform.clone(),
            is_pinned,
        };
        let _alone = self.mark();
        self.records.put(&record)?;
        Ok(record)
    }

    pub(super) fn disk_use(&self) -> Result<DiskUse, ImageError> {
        let blob_bytes = self.blobs.list()?.iter().map(|(_, size)| size).sum();
        let layer_bytes = self.layers.list()?.iter().map(|layer| self.layers.bytes(layer)).sum();
        Ok(DiskUse { blob_bytes, layer_bytes })
    }
}
