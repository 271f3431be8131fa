//! Transactions: guards that must hold, operations that then apply together.

use std::collections::BTreeSet;

use bytes::Bytes;
use thiserror::Error;

use crate::{Key, LeaseId, Revision};

/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 1024;
/// Largest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 512 * 1024;
/// Most operations, and most guards, in one commit: etcd's limit.
pub const MAX_COMMIT_OPS: usize = 128;
/// Largest sum of keys and values in one commit: ZooKeeper's packet is just under 1 MiB.
pub const MAX_COMMIT_BYTES: usize = 1_000_000;

/// Must hold at the moment of the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// The key does not exist.
    Absent(Key),
    /// The key exists.
    Present(Key),
    /// The key exists and was last put by this batch.
    Modified(Key, Revision),
    /// The key exists and was created by this batch.
    Created(Key, Revision),
}

impl Guard {
    /// The key it looks at.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Absent(key) | Self::Present(key) | Self::Modified(key, _) | Self::Created(key, _) => key,
        }
    }
}

/// Happens if all guards hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Stores a value. Always counts as a change, also with the same value.
    Put {
        /// Where.
        key: Key,
        /// What.
        value: Bytes,
        /// The lease that owns the key from now on; `None` frees it from any.
        lease: Option<LeaseId>,
    },
    /// Removes a key; one that does not exist is no change.
    Delete {
        /// Which.
        key: Key,
    },
}

impl Op {
    /// The key it changes.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Put { key, value, .. } => key.len() + value.len(),
            Self::Delete { key } => key.len(),
        }
    }
}

/// A transaction, built by chaining.
///
/// ```
/// use kogge_store::{Commit, Guard, Key};
/// let key = Key::from("apps/shop");
/// let commit = Commit::new().when(Guard::Absent(key.clone())).put(key, "first");
/// assert_eq!(commit.ops.len(), 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Commit {
    /// All must hold.
    pub guards: Vec<Guard>,
    /// Apply together, each key at most once.
    pub ops: Vec<Op>,
}

impl Commit {
    /// Changes nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only if `guard` holds.
    #[must_use]
    pub fn when(mut self, guard: Guard) -> Self {
        self.guards.push(guard);
        self
    }

    /// Stores a value that belongs to no lease.
    #[must_use]
    pub fn put(mut self, key: impl Into<Key>, value: impl Into<Bytes>) -> Self {
        self.ops.push(Op::Put { key: key.into(), value: value.into(), lease: None });
        self
    }

    /// Stores a value that lives as long as `lease`.
    #[must_use]
    pub fn put_leased(mut self, key: impl Into<Key>, value: impl Into<Bytes>, lease: LeaseId) -> Self {
        self.ops.push(Op::Put { key: key.into(), value: value.into(), lease: Some(lease) });
        self
    }

    /// Removes a key.
    #[must_use]
    pub fn delete(mut self, key: impl Into<Key>) -> Self {
        self.ops.push(Op::Delete { key: key.into() });
        self
    }

    /// The sum of all keys and values.
    pub(crate) fn bytes(&self) -> usize {
        self.ops.iter().map(Op::bytes).sum::<usize>()
            + self.guards.iter().map(|guard| guard.key().len()).sum::<usize>()
    }

    /// Whether every engine can take this commit. Engines call it before anything else.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        for (count, what) in [(self.ops.len(), "operations"), (self.guards.len(), "guards")] {
            if count > MAX_COMMIT_OPS {
                return Err(Refusal::TooMany { what, count });
            }
        }
        for guard in &self.guards {
            check_key_length(guard.key())?;
        }
        let mut seen = BTreeSet::new();
        for op in &self.ops {
            check_op(op)?;
            if !seen.insert(op.key()) {
                return Err(Refusal::RepeatedKey { key: op.key().clone() });
            }
        }
        let bytes = self.bytes();
        if bytes > MAX_COMMIT_BYTES {
            return Err(Refusal::TooLarge { bytes });
        }
        Ok(())
    }
}

fn check_op(op: &Op) -> Result<(), Refusal> {
    check_key_length(op.key())?;
    if op.key().is_reserved() {
        return Err(Refusal::ReservedKey { key: op.key().clone() });
    }
    match op {
        Op::Put { key, value, .. } if value.len() > MAX_VALUE_BYTES => {
            Err(Refusal::ValueTooLarge { key: key.clone(), bytes: value.len() })
        }
        Op::Put { .. } | Op::Delete { .. } => Ok(()),
    }
}

pub(crate) fn check_key_length(key: &Key) -> Result<(), Refusal> {
    match key.len() {
        0 => Err(Refusal::EmptyKey),
        1..=MAX_KEY_BYTES => Ok(()),
        bytes => Err(Refusal::KeyTooLong { bytes }),
    }
}

/// A commit no engine can take.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A key has no bytes.
    #[error("a key is empty")]
    EmptyKey,
    /// A key is too long.
    #[error("a key has {bytes} bytes, the most is {MAX_KEY_BYTES}")]
    KeyTooLong {
        /// Its length.
        bytes: usize,
    },
    /// A key belongs to the engine.
    #[error("key {key} begins with a zero byte, such keys belong to the engine")]
    ReservedKey {
        /// Which.
        key: Key,
    },
    /// A value is too large.
    #[error("the value of {key} has {bytes} bytes, the most is {MAX_VALUE_BYTES}")]
    ValueTooLarge {
        /// Whose.
        key: Key,
        /// Its size.
        bytes: usize,
    },
    /// Too many operations or guards.
    #[error("a commit has {count} {what}, the most is {MAX_COMMIT_OPS}")]
    TooMany {
        /// `operations` or `guards`.
        what: &'static str,
        /// How many.
        count: usize,
    },
    /// Keys and values are too large together.
    #[error("a commit has {bytes} bytes in keys and values, the most is {MAX_COMMIT_BYTES}")]
    TooLarge {
        /// Their sum.
        bytes: usize,
    },
    /// Two operations on one key.
    #[error("a commit changes {key} twice")]
    RepeatedKey {
        /// Which.
        key: Key,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(commit: Commit, expected: &str) {
        let text = commit.check().err().map_or_else(|| "ok".to_owned(), |refusal| refusal.to_string());
        assert_eq!(text, expected);
    }

    #[test]
    fn bounds_are_named_in_the_refusal() {
        let many = (0..129).fold(Commit::new(), |commit, n| commit.delete(format!("k{n}")));
        let guards = (0..129).fold(Commit::new(), |commit, _| commit.when(Guard::Absent("k".into())));
        let half = vec![0u8; 512 * 1024];
        check(Commit::new().put("a", "x").delete("b"), "ok");
        check(Commit::new().put("k".repeat(1024), half.clone()), "ok");
        check(Commit::new().put("", "x"), "a key is empty");
        check(Commit::new().when(Guard::Absent(Key::ALL)), "a key is empty");
        check(Commit::new().delete("k".repeat(1025)), "a key has 1025 bytes, the most is 1024");
        check(
            Commit::new().put("k", vec![0; 524_289]),
            "the value of k has 524289 bytes, the most is 524288",
        );
        check(many, "a commit has 129 operations, the most is 128");
        check(guards, "a commit has 129 guards, the most is 128");
        check(
            Commit::new().put("a", half.clone()).put("b", half),
            "a commit has 1048578 bytes in keys and values, the most is 1000000",
        );
        check(Commit::new().put("a", "x").delete("a"), "a commit changes a twice");
        check(
            Commit::new().delete("\0election/x"),
            "key \0election/x begins with a zero byte, such keys belong to the engine",
        );
    }
}
