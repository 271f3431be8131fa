//! Tokens: texts that let in whoever has them, and name the authority whose servers to believe.
//!
//! `<prefix>.<id>.<secret>.<authority's fingerprint>`. The cluster keeps the digest of the secret only, and the holder
//! believes no server whose authority has another fingerprint. So neither side trusts blindly.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::digest::Digest;

const ID_BYTES: usize = 6;
const SECRET_BYTES: usize = 16;

/// Random bytes that a token takes.
pub const MINT_BYTES: usize = ID_BYTES + SECRET_BYTES;

/// What all tokens have in common, whatever they open.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenParts {
    id: String,
    secret: String,
    authority: Digest,
}

impl TokenParts {
    /// A new one for the cluster whose authority has that fingerprint.
    #[must_use]
    pub fn mint(random: &[u8; MINT_BYTES], authority: Digest) -> Self {
        let (id, secret) = random.split_at(ID_BYTES);
        Self { id: hex(id), secret: hex(secret), authority }
    }

    /// Reads the text of a token with that prefix; none if it is not one, whole and unchanged.
    #[must_use]
    pub fn parse(prefix: &str, text: &str) -> Option<Self> {
        let [found, id, secret, authority] = text.trim().split('.').collect::<Vec<_>>()[..] else {
            return None;
        };
        if found != prefix || !is_hex(id, ID_BYTES) || !is_hex(secret, SECRET_BYTES) {
            return None;
        }
        let authority = format!("sha256:{authority}").parse().ok()?;
        Some(Self { id: id.to_owned(), secret: secret.to_owned(), authority })
    }

    /// As it is handed to people. It lets in whoever has it.
    #[must_use]
    pub fn reveal(&self, prefix: &str) -> String {
        format!("{prefix}.{}.{}.{}", self.id, self.secret, self.authority.hex())
    }

    /// Which record to look up.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The fingerprint of the authority to believe.
    #[must_use]
    pub const fn authority(&self) -> Digest {
        self.authority
    }

    /// What the cluster keeps. The secret has 128 bits, so a plain digest cannot be turned back.
    #[must_use]
    pub fn secret_digest(&self) -> Digest {
        Digest::of(self.secret.as_bytes())
    }
}

/// Without the secret.
impl fmt::Debug for TokenParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

/// What an operator shows to the API's door, with each request.
#[derive(Clone, PartialEq, Eq)]
pub struct OperatorToken(TokenParts);

/// A text that is no token of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "this is not a token of an operator: expected {0}. and three parts of hex digits, copied whole",
    OperatorToken::PREFIX
)]
pub struct OperatorTokenError;

impl OperatorToken {
    /// What its text begins with, before the first dot.
    pub const PREFIX: &str = "koggeop1";

    /// A new one for the cluster whose authority has that fingerprint.
    #[must_use]
    pub fn mint(random: &[u8; MINT_BYTES], authority: Digest) -> Self {
        Self(TokenParts::mint(random, authority))
    }

    /// Which record to look up. It is no secret.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.id()
    }

    /// The fingerprint of the authority to believe.
    #[must_use]
    pub const fn authority(&self) -> Digest {
        self.0.authority()
    }

    /// What the cluster keeps.
    #[must_use]
    pub fn secret_digest(&self) -> Digest {
        self.0.secret_digest()
    }

    /// As it is handed to people. It lets in whoever has it.
    #[must_use]
    pub fn reveal(&self) -> String {
        self.0.reveal(Self::PREFIX)
    }
}

impl FromStr for OperatorToken {
    type Err = OperatorTokenError;

    fn from_str(text: &str) -> Result<Self, OperatorTokenError> {
        TokenParts::parse(Self::PREFIX, text).map(Self).ok_or(OperatorTokenError)
    }
}

/// Without the secret.
impl fmt::Debug for OperatorToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OperatorToken({:?})", self.0)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_hex(text: &str, bytes: usize) -> bool {
    text.len() == bytes * 2 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> OperatorToken {
        let random = std::array::from_fn(|at| u8::try_from(at).unwrap());
        OperatorToken::mint(&random, Digest::of(b"authority"))
    }

    #[test]
    fn a_token_survives_being_copied_but_not_being_cut() {
        let text = token().reveal();
        assert_eq!(format!("  {text}\n").parse(), Ok(token()));
        let as_join_token = text.replace(OperatorToken::PREFIX, "kogge1");
        for bad in [&text[1..], &text[..text.len() - 1], "koggeop1.a.b.c", "", &as_join_token] {
            assert_eq!(bad.parse::<OperatorToken>(), Err(OperatorTokenError), "{bad}");
        }
    }

    #[test]
    fn nothing_but_revealing_it_tells_the_secret() {
        let text = token().reveal();
        let secret = text.split('.').nth(2).unwrap();
        let told = format!("{:?} {} {}", token(), token().id(), token().secret_digest());
        assert!(!told.contains(secret), "{told}");
    }
}
