//! Reading: one key, or all keys under a prefix.

use crate::{Entry, Key, Revision};

/// How fresh an answer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// Sees every write acknowledged before the question was asked.
    #[default]
    Linearizable,
    /// May be old, is cheap; the answer's revision says how old.
    Stale,
}

/// The answer to [`crate::Store::get`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The entry, if the key exists.
    pub entry: Option<Entry>,
    /// The revision at which that was so.
    pub revision: Revision,
}

/// Asks for entries under a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// What the keys begin with; [`Key::ALL`] for all.
    pub prefix: Key,
    /// Only keys after this one: the last key of the page before.
    pub after: Option<Key>,
    /// At most so many entries a page; `None` for all in one.
    pub limit: Option<usize>,
    /// The revision of the first page, on all later ones. An engine may keep it readable for a short time only
    /// (30 s and a few lists at once in the embedded one), then answers compacted.
    pub at: Option<Revision>,
    /// How fresh the first page must be.
    pub consistency: Consistency,
}

impl Range {
    /// All entries under `prefix`, in one page, linearizable.
    #[must_use]
    pub fn prefix(prefix: impl Into<Key>) -> Self {
        let consistency = Consistency::Linearizable;
        Self { prefix: prefix.into(), after: None, limit: None, at: None, consistency }
    }

    /// The same in pages of `limit` entries (at least one).
    #[must_use]
    pub fn paged(self, limit: usize) -> Self {
        Self { limit: Some(limit.max(1)), ..self }
    }

    /// The page after `page`, or `None` if that was the last.
    #[must_use]
    pub fn following(&self, page: &Page) -> Option<Self> {
        let last = page.entries.last().filter(|_| page.more)?;
        Some(Self { after: Some(last.key.clone()), at: Some(page.revision), ..self.clone() })
    }
}

/// Some entries under a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In byte order of their keys.
    pub entries: Vec<Entry>,
    /// The revision at which they were all so.
    pub revision: Revision,
    /// Whether there are entries after the last one of these.
    pub more: bool,
}
