//! Where a node stands in the tree: `/`, `/prod`, `/prod/shop`, `/prod/shop/web`.

use std::fmt;
use std::str::FromStr;

use kogge_model::name::{AppId, Name, NameError, ServiceId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A path from the root; the root itself has no segments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TreePath(Vec<Name>);

/// Why a text is not a path of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TreePathError {
    /// It does not start at the root.
    #[error("{text:?} is not a path of the tree: it does not start with /")]
    NotAbsolute {
        /// The text that was refused.
        text: String,
    },
    /// A segment breaks the rule of names.
    #[error("{text:?} is not a path of the tree: {source}")]
    Segment {
        /// The text that was refused.
        text: String,
        /// The segment and its rule.
        source: NameError,
    },
}

impl TreePath {
    /// The root.
    #[must_use]
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// The names from the root down.
    #[must_use]
    pub fn segments(&self) -> &[Name] {
        &self.0
    }

    /// 0 for the root.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.0.len()
    }

    /// The child `name` of this path.
    #[must_use]
    pub fn child(&self, name: Name) -> Self {
        let mut segments = self.0.clone();
        segments.push(name);
        Self(segments)
    }

    /// The service at this path, if it has the depth of one.
    #[must_use]
    pub fn service_id(&self) -> Option<ServiceId> {
        let [environment, app, service] = self.0.as_slice() else { return None };
        let app = AppId { environment: environment.clone(), app: app.clone() };
        Some(app.service(service.clone()))
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("/");
        }
        self.0.iter().try_for_each(|name| write!(f, "/{name}"))
    }
}

impl FromStr for TreePath {
    type Err = TreePathError;

    fn from_str(text: &str) -> Result<Self, TreePathError> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(TreePathError::NotAbsolute { text: text.to_owned() });
        };
        if rest.is_empty() {
            return Ok(Self::root());
        }
        let names: Result<Vec<Name>, NameError> = rest.split('/').map(str::parse).collect();
        names.map(Self).map_err(|source| TreePathError::Segment { text: text.to_owned(), source })
    }
}

impl TryFrom<String> for TreePath {
    type Error = TreePathError;

    fn try_from(text: String) -> Result<Self, TreePathError> {
        text.parse()
    }
}

impl From<TreePath> for String {
    fn from(path: TreePath) -> Self {
        path.to_string()
    }
}

impl From<&AppId> for TreePath {
    fn from(app: &AppId) -> Self {
        Self(vec![app.environment.clone(), app.app.clone()])
    }
}

impl From<&ServiceId> for TreePath {
    fn from(id: &ServiceId) -> Self {
        Self::from(&id.app).child(id.service.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_print_as_they_are_written() {
        for text in ["/", "/prod", "/prod/shop/web"] {
            assert_eq!(text.parse::<TreePath>().unwrap().to_string(), text);
        }
        for bad in ["", "prod", "//", "/prod/", "/Prod"] {
            assert!(bad.parse::<TreePath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_service_has_its_path_and_back() {
        let id: ServiceId = "shop/worker".parse().unwrap();
        assert_eq!(TreePath::from(&id).to_string(), "/prod/shop/worker");
        assert_eq!(TreePath::from(&id).service_id(), Some(id));
        assert_eq!(TreePath::root().service_id(), None);
    }
}
