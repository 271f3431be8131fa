//! What hook and builder say to each other: one JSON object a line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The hook asks whether a push may go through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The app whose repository it is, as the builder told it.
    pub app: String,
    /// Where the hook was started: paths in its environment may be relative to it.
    pub directory: PathBuf,
    /// The `GIT_*` part of the hook's environment.
    pub git: BTreeMap<String, String>,
    /// What the push wants to change.
    pub updates: Vec<RefUpdate>,
}

/// One line of the hook's standard input (githooks(5), pre-receive).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefUpdate {
    /// The object the ref named; all zeros when it is new.
    pub old: String,
    /// The object it is to name; all zeros when it is to go.
    pub new: String,
    /// Its full name.
    pub name: String,
}

/// The builder's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Say {
    /// For the pusher's terminal.
    Line(String),
    /// The push may go through.
    Accept,
    /// It may not.
    Decline,
}

impl RefUpdate {
    /// `OLD NEW NAME`, with object names of SHA-1 or SHA-256.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(3, ' ');
        let object = |word: &str| {
            matches!(word.len(), 40 | 64)
                && word.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let (old, new, name) = (words.next()?, words.next()?, words.next()?);
        (object(old) && object(new) && !name.is_empty()).then(|| Self {
            old: old.to_owned(),
            new: new.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Whether the ref is to go.
    #[must_use]
    pub fn is_delete(&self) -> bool {
        self.new.bytes().all(|b| b == b'0')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_updates_are_read() {
        let zeros = "0".repeat(40);
        let one = "1".repeat(40);
        let update = RefUpdate::parse(&format!("{one} {zeros} refs/heads/main")).unwrap();
        assert!(update.is_delete() && update.name == "refs/heads/main");
        for bad in ["", "a b c", &format!("{one} {zeros}"), &format!("{one} --exec=x refs/heads/main")] {
            assert!(RefUpdate::parse(bad).is_none(), "{bad}");
        }
    }
}
