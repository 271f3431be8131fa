//! Ways into the store.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kogge_model::digest::Digest;
use tokio::io::AsyncRead;

use super::compression::HashingReader;
use super::config::ImageConfig;
use super::error::ImageError;
use super::lease::Lease;
use super::manifest::{Manifest, OCI_CONFIG, OCI_MANIFEST, own_platform};
use super::progress::FetchProgress;
use super::record::ImageRecord;
use super::reference::Reference;
use super::source::directory::Directory;
use super::source::docker_archive::{self, Found, descriptor};
use super::source::intake::Intake;
use super::source::peer::{Fetch, Peer};
use super::source::registry::{Credentials, Pull};
use super::source::spool::Spool;
use super::source::upload::Upload;
use super::source::{Files, oci_layout};
use super::store::{ImageStore, Inner};

/// Fast, and about as small as gzip's default.
const ZSTD_LEVEL: i32 = 3;
const ZSTD_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// What to take from an archive and how to name it.
#[derive(Debug, Clone, Default)]
pub struct LoadRequest {
    /// The name for the one image in it; without, the archive must name its images.
    pub name: Option<Reference>,
    /// Of a layout with several images: the one with this `ref.name`.
    pub entry: Option<String>,
    /// Whether collection must leave the names alone.
    pub is_pinned: bool,
}

impl ImageStore {
    /// Loads a tar archive, packed or not: an OCI layout or what `docker save` writes.
    ///
    /// # Errors
    /// When the archive is broken, hostile, too large, nameless, or the disk refuses. Names are given last, so a
    /// failed load leaves none.
    pub async fn load_archive(
        &self,
        source: impl AsyncRead + Send + 'static,
        request: LoadRequest,
    ) -> Result<Vec<ImageRecord>, ImageError> {
        let upload = Upload::new(source, Duration::from_secs(self.inner.limits.idle_seconds));
        let inner = Arc::clone(&self.inner);
        let spool =
            self.inner.uploads.run(move || Spool::fill(upload, &inner.unfinished, &inner.limits)).await?;
        self.run(move |inner| inner.load(&spool, &request)).await
    }

    /// Loads an OCI layout directory, such as `buildah push … oci:DIR` writes.
    ///
    /// # Errors
    /// As [`ImageStore::load_archive`].
    pub async fn load_layout(
        &self,
        dir: PathBuf,
        request: LoadRequest,
    ) -> Result<Vec<ImageRecord>, ImageError> {
        self.run(move |inner| inner.load(&Directory::open(&dir)?, &request)).await
    }

    /// Pulls an image from the registry in its name, over plain HTTP only from this very machine. `progress` says how
    /// far that is.
    ///
    /// # Errors
    /// When the registry refuses or cannot be reached, and as [`ImageStore::load_archive`].
    pub async fn pull(
        &self,
        reference: &Reference,
        credentials: Option<&Credentials>,
        is_pinned: bool,
        progress: &FetchProgress,
    ) -> Result<ImageRecord, ImageError> {
        let mut lease = self.inner.leases.lease();
        let pull = Pull { reference, credentials, intake: self.intake(progress) };
        let manifest = Box::pin(pull.run(&mut lease)).await?;
        let names = vec![reference.clone()];
        let records = self.run(move |inner| inner.commit(&manifest, &names, is_pinned, &mut lease)).await?;
        Ok(records.into_iter().next().expect("one name gives one record"))
    }

    /// Fetches the image with that manifest from another machine's store, and names it. `progress` says how far that is.
    ///
    /// # Errors
    /// When the other machine does not have it or stops sending, and as [`ImageStore::load_archive`].
    pub async fn fetch(
        &self,
        peer: &Arc<dyn Peer>,
        manifest: Digest,
        name: Reference,
        progress: &FetchProgress,
    ) -> Result<ImageRecord, ImageError> {
        let mut lease = self.inner.leases.lease();
        let fetch = Fetch { peer, intake: self.intake(progress) };
        let manifest = Box::pin(fetch.run(manifest, &mut lease)).await?;
        let records = self.run(move |inner| inner.commit(&manifest, &[name], false, &mut lease)).await?;
        Ok(records.into_iter().next().expect("one name gives one record"))
    }

    fn intake<'a>(&'a self, progress: &'a FetchProgress) -> Intake<'a> {
        let (blobs, limits, writers) = (&self.inner.blobs, &self.inner.limits, &self.inner.uploads);
        Intake { blobs, limits, writers, progress }
    }

    /// Makes an image of one layer from the plain tar stream `source`; used for base images.
    ///
    /// # Errors
    /// As [`ImageStore::load_archive`].
    pub async fn import_layer(
        &self,
        source: impl Read + Send + 'static,
        config: ImageConfig,
        name: Reference,
        is_pinned: bool,
    ) -> Result<ImageRecord, ImageError> {
        let inner = Arc::clone(&self.inner);
        let packed = self.inner.uploads.run(move || inner.pack(source, &config)).await;
        let (manifest, mut lease) = packed?;
        let records = self.run(move |inner| inner.commit(&manifest, &[name], is_pinned, &mut lease)).await?;
        Ok(records.into_iter().next().expect("one name gives one record"))
    }
}

impl Inner {
    fn load(&self, files: &dyn Files, request: &LoadRequest) -> Result<Vec<ImageRecord>, ImageError> {
        let mut lease = self.leases.lease();
        let found = self.find(files, request, &mut lease)?;
        let mut records = Vec::new();
        let count = found.len();
        for Found { manifest, names } in found {
            let names = match &request.name {
                Some(name) if count == 1 => vec![name.clone()],
                Some(_) => {
                    let why = format!("it holds {count} images, which cannot all have one name");
                    return Err(ImageError::malformed("the archive", why));
                }
                None => names,
            };
            records.extend(self.commit(&manifest, &names, request.is_pinned, &mut lease)?);
        }
        if records.is_empty() {
            return Err(ImageError::malformed("the archive", "none of its images has a name: give one"));
        }
        Ok(records)
    }

    /// Docker's own description first: newer `docker save` writes both, and only that one has whole names.
    fn find(
        &self,
        files: &dyn Files,
        request: &LoadRequest,
        lease: &mut Lease,
    ) -> Result<Vec<Found>, ImageError> {
        let (blobs, limits) = (&self.blobs, &self.limits);
        if request.entry.is_none()
            && let Some(found) = docker_archive::read(files, blobs, lease, limits)?
        {
            return Ok(found);
        }
        let (entry, name) = (request.entry.as_deref(), request.name.as_ref());
        oci_layout::read(files, entry, name, blobs, lease, limits)?.ok_or_else(|| {
            let why = "it has neither index.json (OCI layout) nor manifest.json (docker save)";
            ImageError::malformed("the archive", why)
        })
    }

    /// Packs a plain tar stream into a layer blob and describes it.
    fn pack(&self, source: impl Read, config: &ImageConfig) -> Result<(Vec<u8>, Lease), ImageError> {
        let what = "the layer";
        let mut lease = self.leases.lease();
        let mut source = HashingReader::new(source);
        let writer = self.blobs.write(self.limits.blob_bytes)?;
        let mut encoder =
            zstd::stream::write::Encoder::new(writer, ZSTD_LEVEL).map_err(ImageError::read(what))?;
        std::io::copy(&mut source, &mut encoder).map_err(ImageError::read(what))?;
        let writer = encoder.finish().map_err(ImageError::read(what))?;
        let diff_id = source.finish(what)?;
        let layer = writer.digest();
        lease.add(layer);
        self.blobs.keep(writer, None)?;
        let document = serde_json::json!({
            "architecture": own_platform().architecture,
            "os": "linux",
            "config": { "Cmd": config.cmd, "Entrypoint": config.entrypoint, "Env": config.env,
                        "WorkingDir": config.working_dir.as_deref().unwrap_or_default(),
                        "User": config.user.as_deref().unwrap_or_default(), "Labels": config.labels },
            "rootfs": { "type": "layers", "diff_ids": [diff_id] },
            // buildah takes no base whose layers have no history.
            "history": [{ "created_by": "kogge" }],
        });
        let document = serde_json::to_vec(&document).expect("a config is plain data");
        lease.add(Digest::of(&document));
        let document = self.blobs.put(&document)?;
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(OCI_MANIFEST.to_owned()),
            config: descriptor(OCI_CONFIG, document, &self.blobs),
            layers: vec![descriptor(ZSTD_LAYER, layer, &self.blobs)],
        };
        Ok((serde_json::to_vec(&manifest).expect("a manifest is plain data"), lease))
    }
}
