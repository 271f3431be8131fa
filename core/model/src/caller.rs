//! Who asks.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whoever makes a request; every change carries one, so that what may be done is a policy and not a rebuild.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Caller {
    /// The author that stands in the history: `local operator`.
    pub name: String,
    /// How the caller came in.
    pub origin: Origin,
}

/// How a caller came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Over a loopback address of this machine: whoever can do that is the operator.
    Loopback,
    /// With a token, from wherever.
    Token,
    /// By `git push`.
    GitPush,
    /// The cloud itself: start, recovery, roll-back.
    Internal,
}

impl Caller {
    /// Whoever talks to a door on loopback.
    #[must_use]
    pub fn local_operator() -> Self {
        Self { name: "local operator".to_owned(), origin: Origin::Loopback }
    }

    /// Whoever shows the token of that name.
    #[must_use]
    pub fn operator(name: &str) -> Self {
        Self { name: name.to_owned(), origin: Origin::Token }
    }

    /// The cloud acting by itself.
    #[must_use]
    pub fn kogge() -> Self {
        Self { name: "kogge".to_owned(), origin: Origin::Internal }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
