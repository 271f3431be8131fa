//! Images: content-addressed blobs, unpacked layers and the names that stand for them.
//!
//! ```text
//! ROOT/blobs/sha256/<hex>        manifests, configs, packed layers (OCI layout, so a registry can serve it)
//! ROOT/layers/sha256-<diffID>/   each layer unpacked once, for overlayfs
//! ROOT/records/<hex>.json        one name: which manifest it stands for
//! ROOT/unfinished/               work in progress; emptied at the next start
//! ```
//!
//! Invariants: a name in `blobs` or `layers` is given last, after a flush, so what has a name is whole. Digests
//! are checked on the way in, and again whenever a blob is read. A record is written after everything it leads
//! to. What someone holds a [`Lease`] on is never collected.
//!
//! Start reading at [`ImageStore`]; the hostile part is [`unpack`] and [`tar_stream`].

mod blob;
mod collect;
mod compression;
mod config;
mod error;
mod export;
mod layer;
mod lease;
mod limits;
mod load;
mod manifest;
mod progress;
mod record;
mod reference;
mod rooted;
mod source;
mod store;
mod tar_stream;
mod unpack;
mod user;

pub use blob::{BlobReader, BlobStore, BlobWriter};
pub use collect::{Bounds, Collected, Keep};
pub use config::{ExposedPort, ImageConfig, Protocol};
pub use error::ImageError;
pub use lease::Lease;
pub use limits::Limits;
pub use load::LoadRequest;
pub use manifest::{Descriptor, Index, Manifest, Platform};
pub use progress::FetchProgress;
pub use record::ImageRecord;
pub use reference::Reference;
pub use source::peer::{Peer, PeerBlob};
pub use source::registry::Credentials;
pub use store::{DiskUse, Image, ImageStore};
pub use user::ResolvedUser;
