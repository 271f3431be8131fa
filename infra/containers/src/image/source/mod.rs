//! Where images come from: archives, layout directories and registries.

pub(crate) mod directory;
pub(crate) mod docker_archive;
pub(crate) mod intake;
pub(crate) mod oci_layout;
pub(crate) mod peer;
pub(crate) mod registry;
pub(crate) mod spool;
pub(crate) mod upload;

use kogge_model::digest::Digest;

use super::blob::BlobStore;
use super::error::ImageError;
use super::lease::Lease;
use super::limits::Limits;

/// The files of an archive or layout, by name.
pub(crate) trait Files {
    /// The whole of a small file; `None` when there is none of that name.
    fn read_small(&self, name: &str) -> Result<Option<Vec<u8>>, ImageError>;

    /// Makes the file a blob, held by `lease`, and checks the digest it should have.
    fn adopt(
        &self,
        name: &str,
        expected: Option<&Digest>,
        blobs: &BlobStore,
        lease: &mut Lease,
        limits: &Limits,
    ) -> Result<Digest, ImageError>;
}

pub(crate) fn missing(name: &str) -> ImageError {
    ImageError::malformed("the archive", format!("{name} is missing"))
}
