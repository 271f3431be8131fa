//! The nodes of the tree, and how each becomes the bytes that its digest names.

use std::collections::BTreeMap;
use std::sync::Arc;

use kogge_model::digest::Digest;
use kogge_model::name::Name;
use kogge_model::service::ServiceSpec;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::canonical::canonical_json;

/// One node: its children are named by digest, so a node's digest covers its whole subtree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Node {
    /// The root, an environment or an app.
    Group(Group),
    /// A service; specs are shared, never copied.
    Service(Arc<ServiceSpec>),
}

/// A node with children.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Group {
    /// What people and programs noted about it.
    pub meta: BTreeMap<String, String>,
    /// Its children by name.
    pub children: BTreeMap<Name, Digest>,
}

/// A node with everything below it by value: what is written into the tree and read out of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Subtree {
    /// A group with its children.
    Group {
        /// See [`Group::meta`].
        #[serde(default)]
        meta: BTreeMap<String, String>,
        /// Its children by name.
        #[serde(default)]
        children: BTreeMap<Name, Subtree>,
    },
    /// A service.
    Service(Arc<ServiceSpec>),
}

/// Why bytes are no node.
#[derive(Debug, Error)]
#[error("cannot read a node of the tree: it is no JSON of a group or service")]
pub struct NodeError(#[from] serde_json::Error);

impl Node {
    /// The bytes that are stored, and the digest that names them.
    #[must_use]
    pub fn encode(&self) -> (Digest, Vec<u8>) {
        let bytes = canonical_json(self);
        (Digest::of(&bytes), bytes)
    }

    /// A node from its stored bytes.
    ///
    /// # Errors
    /// When they are not the JSON of a node.
    pub fn decode(bytes: &[u8]) -> Result<Self, NodeError> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// Digests of its children, in the order of their names.
    pub(crate) fn children(&self) -> impl Iterator<Item = Digest> + '_ {
        match self {
            Self::Group(group) => Some(group.children.values().copied()),
            Self::Service(_) => None,
        }
        .into_iter()
        .flatten()
    }
}

impl Subtree {
    /// A service by value.
    #[must_use]
    pub fn service(spec: ServiceSpec) -> Self {
        Self::Service(Arc::new(spec))
    }

    /// A group without children.
    #[must_use]
    pub const fn empty_group() -> Self {
        Self::Group { meta: BTreeMap::new(), children: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_stored_as_canonical_json() {
        let mut group = Group::default();
        group.meta.insert("owner".into(), "shop team".into());
        group.children.insert("web".parse().unwrap(), Digest::of(b""));
        let (digest, bytes) = Node::Group(group.clone()).encode();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.starts_with(r#"{"children":{"web":"sha256:e3b0"#), "{text}");
        assert!(text.ends_with(r#""kind":"group","meta":{"owner":"shop team"}}"#), "{text}");
        assert_eq!((Digest::of(&bytes), Node::decode(&bytes).unwrap()), (digest, Node::Group(group)));
    }

    #[test]
    fn a_service_comes_back_as_it_went() {
        let spec = ServiceSpec { instances: 3, ..ServiceSpec::default() };
        let (_, bytes) = Node::Service(Arc::new(spec.clone())).encode();
        assert_eq!(Node::decode(&bytes).unwrap(), Node::Service(Arc::new(spec)));
        assert!(Node::decode(b"{}").is_err());
    }
}
