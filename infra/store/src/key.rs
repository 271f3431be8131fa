//! Keys: any bytes, ordered as bytes.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// The name of an entry, or a prefix of such names. Cheap to clone.
///
/// Keys that begin with a zero byte belong to the engine (elections): they can be read, watched and guarded, not
/// written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Key(Bytes);

impl Key {
    /// The prefix that matches every key.
    pub const ALL: Self = Self(Bytes::new());

    /// The record of an election: there while somebody leads, its value says who.
    #[must_use]
    pub fn election(name: &str) -> Self {
        format!("\0election/{name}").into()
    }

    /// Whether `prefix` begins this key.
    #[must_use]
    pub fn starts_with(&self, prefix: &Key) -> bool {
        self.0.starts_with(&prefix.0)
    }

    /// The key as text, when it is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Whether only the engine may write this key.
    pub(crate) fn is_reserved(&self) -> bool {
        self.0.first() == Some(&0)
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }
}

impl From<Vec<u8>> for Key {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Bytes::from(bytes))
    }
}

impl From<Bytes> for Key {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

/// Text as it is, other bytes as `\xNN`.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            f.write_str(chunk.valid())?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_text_as_it_is_and_other_bytes_escaped() {
        assert_eq!(Key::from("a//b/é").to_string(), "a//b/é");
        assert_eq!(Key::from(&b"a\xff"[..]).to_string(), "a\\xff");
    }

    #[test]
    fn orders_by_bytes_not_by_letters() {
        assert!(Key::from("a!") < Key::from("a/"));
        assert!(Key::from("Z") < Key::from("a"));
    }
}
