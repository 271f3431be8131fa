//! Join tokens: what a new machine shows to be let in, once.
//!
//! `kogge1.<id>.<secret>.<authority's fingerprint>`: the cluster keeps a record with the secret's digest only, and the
//! joining machine believes no server whose authority has another fingerprint. So neither side trusts blindly.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use kogge_model::digest::Digest;
use kogge_model::time::Timestamp;
pub use kogge_model::token::MINT_BYTES;
use kogge_model::token::TokenParts;
use serde::{Deserialize, Serialize};
use thiserror::Error;

const PREFIX: &str = "kogge1";

/// A token in clear.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(TokenParts);

/// What the cluster keeps of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Which token.
    pub id: String,
    /// The digest of its secret. The secret has 128 bits, so a plain digest cannot be turned back.
    pub secret: Digest,
    /// Its last moment.
    pub expires: Timestamp,
    /// Who has used it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<TokenUse>,
}

/// The one use of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUse {
    /// The digest of the key that was let in.
    pub key: Digest,
    /// When.
    pub at: Timestamp,
}

/// What an accepted token means for its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// Keep this record, durably, before a certificate goes out.
    First(TokenRecord),
    /// The same key has used it already and did not hear the answer: let it in again, the record stays.
    Again,
}

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// There is no such token.
    #[error("the token is wrong: this cluster has given out no such token")]
    Wrong,
    /// Somebody else was let in with it.
    #[error("the token was used at {at}, and each is good for one machine")]
    Used {
        /// When.
        at: Timestamp,
    },
    /// It came too late.
    #[error("the token expired at {at}")]
    Expired {
        /// Its last moment.
        at: Timestamp,
    },
    /// It is another cluster's.
    #[error("the token is another cluster's")]
    OtherCluster,
}

impl Refused {
    /// What to do about it.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::OtherCluster => {
                "check the server's address, or make a token of its cluster: `kogge node token`"
            }
            Self::Wrong | Self::Used { .. } | Self::Expired { .. } => "make a new one: `kogge node token`",
        }
    }
}

/// A text that is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this is not a join token: expected {PREFIX}. and three parts of hex digits, copied whole")]
pub struct TokenError;

/// A new token for the cluster whose authority has that fingerprint, with the record to keep of it.
#[must_use]
pub fn mint(
    random: &[u8; MINT_BYTES],
    authority: Digest,
    now: Timestamp,
    time_to_live: Duration,
) -> (Token, TokenRecord) {
    let token = Token(TokenParts::mint(random, authority));
    let record = TokenRecord {
        id: token.id().to_owned(),
        secret: token.0.secret_digest(),
        expires: now.plus(time_to_live),
        used: None,
    };
    (token, record)
}

/// Whether the holder of `key` may join with `presented`, given the record of that id, if there is one.
///
/// # Errors
/// When it may not.
pub fn check(
    record: Option<&TokenRecord>,
    presented: &Token,
    authority: Digest,
    key: Digest,
    now: Timestamp,
) -> Result<Accepted, Refused> {
    if presented.authority() != authority {
        return Err(Refused::OtherCluster);
    }
    // How long comparing digests takes tells nothing about a secret that gives another digest.
    let known =
        record.filter(|record| record.id == presented.id() && record.secret == presented.0.secret_digest());
    let record = known.ok_or(Refused::Wrong)?;
    if let Some(used) = &record.used
        && used.key != key
    {
        return Err(Refused::Used { at: used.at });
    }
    if now >= record.expires {
        return Err(Refused::Expired { at: record.expires });
    }
    Ok(match &record.used {
        Some(_) => Accepted::Again,
        None => Accepted::First(TokenRecord { used: Some(TokenUse { key, at: now }), ..record.clone() }),
    })
}

impl Token {
    /// Which record to look up.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.id()
    }

    /// The authority to believe.
    #[must_use]
    pub const fn authority(&self) -> Digest {
        self.0.authority()
    }

    /// As it is handed to people. It lets in whoever has it.
    #[must_use]
    pub fn reveal(&self) -> String {
        self.0.reveal(PREFIX)
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        TokenParts::parse(PREFIX, text).map(Self).ok_or(TokenError)
    }
}

/// Without the secret.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:?})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000);
    const HOUR: Duration = Duration::from_secs(3_600);

    fn digest(of: &str) -> Digest {
        Digest::of(of.as_bytes())
    }

    fn minted() -> (Token, TokenRecord) {
        let random = std::array::from_fn(|at| u8::try_from(at).unwrap());
        mint(&random, digest("authority"), NOW, HOUR)
    }

    fn checked(record: Option<&TokenRecord>, key: &str, now: Timestamp) -> Result<Accepted, Refused> {
        check(record, &minted().0, digest("authority"), digest(key), now)
    }

    #[test]
    fn a_token_lets_one_key_in_and_that_one_again_if_the_answer_was_lost() {
        let (_, record) = minted();
        let Ok(Accepted::First(used)) = checked(Some(&record), "mine", NOW) else { panic!("a good token") };
        assert_eq!(used.used, Some(TokenUse { key: digest("mine"), at: NOW }));
        assert_eq!(checked(Some(&used), "mine", NOW), Ok(Accepted::Again));
        assert_eq!(checked(Some(&used), "yours", NOW), Err(Refused::Used { at: NOW }));
        assert_eq!(
            checked(Some(&used), "mine", NOW.plus(HOUR)),
            Err(Refused::Expired { at: NOW.plus(HOUR) })
        );
    }

    #[test]
    fn a_token_that_is_wrong_late_or_foreign_is_refused() {
        let (token, record) = minted();
        assert_eq!(checked(None, "k", NOW), Err(Refused::Wrong));
        let other = TokenRecord { secret: digest("other"), ..record.clone() };
        assert_eq!(checked(Some(&other), "k", NOW), Err(Refused::Wrong));
        assert_eq!(checked(Some(&record), "k", NOW.plus(HOUR)), Err(Refused::Expired { at: NOW.plus(HOUR) }));
        assert_eq!(
            check(Some(&record), &token, digest("south"), digest("k"), NOW),
            Err(Refused::OtherCluster)
        );
    }

    #[test]
    fn the_record_does_not_have_the_secret_and_nothing_prints_it() {
        let (token, record) = minted();
        let secret = token.reveal().split('.').nth(2).unwrap().to_owned();
        assert!(!serde_json::to_string(&record).unwrap().contains(&secret));
        assert!(!format!("{token:?}").contains(&secret));
    }

    #[test]
    fn a_token_survives_being_copied_but_not_being_cut() {
        let (token, _) = minted();
        let text = token.reveal();
        assert_eq!(format!("  {text}\n").parse(), Ok(token));
        for cut in [&text[1..], &text[..text.len() - 1], "kogge1.a.b.c", "", &text.to_uppercase()] {
            assert_eq!(cut.parse::<Token>(), Err(TokenError), "{cut}");
        }
    }
}
