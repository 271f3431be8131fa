//! The image a task runs, as people name it and as it was resolved.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// An image: a name for people, and the manifest digest that is really run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ImageRef {
    /// As it was asked for, normalised: `hello:latest`, `127.0.0.1:5000/shop:v2`.
    pub name: String,
    /// The manifest it stood for when the spec was accepted. Specs in the tree always carry one.
    pub digest: Digest,
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.digest.short())
    }
}
