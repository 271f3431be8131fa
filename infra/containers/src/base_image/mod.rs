//! Base images made from Debian packages, for machines that reach no registry.
//!
//! `mmdebstrap` puts a small Debian system together from the package sources the machine itself uses, and its
//! tar stream becomes the single layer of an image, ready for `FROM kogge/base:12`. The command line is built in
//! [`command`] and run in [`build`], so that the former can be tested without the latter.

mod build;
mod command;
mod error;

pub use build::build_base;
pub use command::BaseImageSpec;
pub use error::BaseImageError;
