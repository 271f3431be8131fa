//! Ways out of the store, for programs that know only OCI's formats.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use kogge_model::digest::Digest;

use super::error::ImageError;
use super::manifest::{Descriptor, Index, OCI_INDEX, OCI_MANIFEST};
use super::reference::Reference;
use super::store::{Image, ImageStore, Inner};
use crate::durable;

const LAYOUT_MARK: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

impl ImageStore {
    /// Writes `reference` as an OCI layout into the new directory `dir`, so that `oci:DIR:NAME` names it there.
    /// Blobs are hard links where the file system allows it: readers must not write into them.
    ///
    /// # Errors
    /// When the image is not here, the directory exists, or the disk refuses.
    pub async fn export_layout(&self, reference: &Reference, dir: PathBuf) -> Result<(), ImageError> {
        let (image, name) = (self.resolve(reference).await?, reference.to_string());
        self.run(move |inner| inner.export_layout(&image, &name, &dir)).await
    }

    /// Writes `reference` as a tar archive of an OCI layout (`oci-archive:`).
    ///
    /// # Errors
    /// When the image is not here or the target refuses.
    pub async fn export_archive<W>(&self, reference: &Reference, target: W) -> Result<W, ImageError>
    where
        W: Write + Send + 'static,
    {
        let (image, name) = (self.resolve(reference).await?, reference.to_string());
        self.run(move |inner| inner.export_archive(&image, &name, target)).await
    }
}

impl Inner {
    fn export_layout(&self, image: &Image, name: &str, dir: &Path) -> Result<(), ImageError> {
        let parent = dir.parent().unwrap_or_else(|| Path::new("."));
        let tmp = parent.join(durable::unfinished_name("layout"));
        let written = self.fill_layout(image, name, &tmp).and_then(|()| {
            // An empty target directory is fine; a full one is not ours.
            fs::rename(&tmp, dir).map_err(ImageError::io("make", dir))
        });
        if written.is_err() {
            let _ = crate::tree::remove(&tmp);
        }
        written
    }

    fn fill_layout(&self, image: &Image, name: &str, dir: &Path) -> Result<(), ImageError> {
        let blobs = dir.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(ImageError::io("make", &blobs))?;
        for digest in self.parts(image)? {
            let (from, to) = (self.blobs.path(&digest), blobs.join(digest.hex()));
            if fs::hard_link(&from, &to).is_err() {
                fs::copy(&from, &to).map_err(ImageError::io("copy", &from))?;
            }
        }
        for (file, bytes) in [("oci-layout", LAYOUT_MARK), ("index.json", &self.index(image, name)?)] {
            let path = dir.join(file);
            fs::write(&path, bytes).map_err(ImageError::io("write", &path))?;
        }
        Ok(())
    }

    fn export_archive<W: Write>(&self, image: &Image, name: &str, target: W) -> Result<W, ImageError> {
        let failed = ImageError::read("the archive being written");
        let mut archive = tar::Builder::new(target);
        let mut add = |path: &str, size: u64, data: &mut dyn std::io::Read| {
            let mut header = tar::Header::new_ustar();
            header.set_size(size);
            header.set_mode(0o644);
            archive
                .append_data(&mut header, path, data)
                .map_err(ImageError::read("the archive being written"))
        };
        add("oci-layout", LAYOUT_MARK.len() as u64, &mut &*LAYOUT_MARK)?;
        let index = self.index(image, name)?;
        add("index.json", index.len() as u64, &mut index.as_slice())?;
        for digest in self.parts(image)? {
            let size = self.blobs.size(&digest).unwrap_or(0);
            add(&format!("blobs/sha256/{}", digest.hex()), size, &mut self.blobs.read(&digest)?)?;
        }
        archive.into_inner().map_err(failed)
    }

    /// Manifest, config and layers, each once.
    fn parts(&self, image: &Image) -> Result<Vec<Digest>, ImageError> {
        let (manifest, _) = self.manifest(&image.manifest)?;
        let mut parts = vec![image.manifest, manifest.config.digest];
        parts.extend(manifest.layers.iter().map(|layer| layer.digest));
        parts.sort_unstable();
        parts.dedup();
        Ok(parts)
    }

    fn index(&self, image: &Image, name: &str) -> Result<Vec<u8>, ImageError> {
        let (manifest, size) = self.manifest(&image.manifest)?;
        let annotations = BTreeMap::from([("org.opencontainers.image.ref.name".to_owned(), name.to_owned())]);
        let entry = Descriptor {
            media_type: manifest.media_type.unwrap_or_else(|| OCI_MANIFEST.to_owned()),
            digest: image.manifest,
            size,
            annotations,
            platform: None,
        };
        let index =
            Index { schema_version: 2, media_type: Some(OCI_INDEX.to_owned()), manifests: vec![entry] };
        Ok(serde_json::to_vec(&index).expect("an index is plain data"))
    }
}
