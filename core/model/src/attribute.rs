//! What an agent says of itself, and what a service asks of its place.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Key and value pairs of an agent: `zone=a`, `disk=ssd`. Every agent has `agent`, `hostname` and `arch`.
pub type Attributes = BTreeMap<String, String>;

/// A rule that the agent of an instance must satisfy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Constraint {
    /// The attribute has this value.
    Is {
        /// Attribute key.
        key: String,
        /// Wanted value.
        value: String,
    },
    /// The attribute is absent or has another value.
    IsNot {
        /// Attribute key.
        key: String,
        /// Refused value.
        value: String,
    },
    /// No two instances of the service share a value of this attribute.
    Unique {
        /// Attribute key.
        key: String,
    },
    /// Instances are spread evenly over the values of this attribute; a preference, never a reason to wait.
    Spread {
        /// Attribute key.
        key: String,
    },
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is { key, value } => write!(f, "{key}={value}"),
            Self::IsNot { key, value } => write!(f, "{key}!={value}"),
            Self::Unique { key } => write!(f, "unique:{key}"),
            Self::Spread { key } => write!(f, "spread:{key}"),
        }
    }
}

impl FromStr for Constraint {
    type Err = String;

    /// `KEY=VALUE`, `KEY!=VALUE`, `unique:KEY` or `spread:KEY`.
    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = if let Some(key) = text.strip_prefix("unique:") {
            Self::Unique { key: key.into() }
        } else if let Some(key) = text.strip_prefix("spread:") {
            Self::Spread { key: key.into() }
        } else if let Some((key, value)) = text.split_once("!=") {
            Self::IsNot { key: key.into(), value: value.into() }
        } else if let Some((key, value)) = text.split_once('=') {
            Self::Is { key: key.into(), value: value.into() }
        } else {
            return Err(format!(
                "{text:?} is no constraint: use KEY=VALUE, KEY!=VALUE, unique:KEY or spread:KEY"
            ));
        };
        let (Self::Is { key, .. } | Self::IsNot { key, .. } | Self::Unique { key } | Self::Spread { key }) =
            &parsed;
        if key.is_empty() { Err(format!("{text:?} names no attribute")) } else { Ok(parsed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_print_as_they_are_written() {
        for text in ["zone=a", "zone!=a", "unique:agent", "spread:zone"] {
            assert_eq!(text.parse::<Constraint>().unwrap().to_string(), text);
        }
        assert!("zone".parse::<Constraint>().is_err() && "=a".parse::<Constraint>().is_err());
    }
}
