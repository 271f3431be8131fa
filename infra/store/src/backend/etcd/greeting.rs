//! The first words with a member: is it an etcd, new enough, and of the cluster we know?

use std::sync::OnceLock;

use thiserror::Error;

use super::connection::{Connection, DialError};
use super::line::Line;
use super::token::Tokens;
use super::verdict::{Verdict, judge};
use super::wire::{StatusRequest, StatusResponse};

/// The oldest etcd that can be used.
pub(super) const OLDEST: (u64, u64) = (3, 4);

/// A member that cannot be used.
#[derive(Debug, Error)]
pub(super) enum Greeting {
    #[error(transparent)]
    Dial(DialError),
    #[error("{0}")]
    NoAnswer(String),
    #[error(transparent)]
    Stranger(Stranger),
}

/// A member that will not do, however long one waits.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Stranger {
    /// Before 3.4.
    #[error("it is etcd {version}, at least {}.{} is needed", OLDEST.0, OLDEST.1)]
    TooOld {
        /// Its version.
        version: String,
    },
    /// A cluster made anew, restored from a backup, or somebody else's.
    #[error("it belongs to another etcd cluster than the one met first; if that was restored, restart Kogge")]
    OtherCluster,
}

impl Greeting {
    pub(super) fn stranger(&self) -> Option<Stranger> {
        match self {
            Self::Stranger(stranger) => Some(stranger.clone()),
            Self::Dial(_) | Self::NoAnswer(_) => None,
        }
    }
}

/// Asks the member who it is.
pub(super) async fn greet(
    connection: &Connection,
    tokens: &Tokens,
    cluster: &OnceLock<u64>,
) -> Result<(), Greeting> {
    let status = match ask(connection, tokens).await {
        Ok(status) => status,
        // Newer etcds tell only those they know; the calls that follow say why we are not.
        Err(Verdict::WhoAreYou) => return Ok(()),
        Err(verdict) if connection.is_plain() && cluster.get().is_none() => {
            return Err(Greeting::NoAnswer(format!("{verdict}; perhaps it wants TLS (etcds://)")));
        }
        Err(verdict) => return Err(Greeting::NoAnswer(verdict.to_string())),
    };
    if !is_new_enough(&status.version) {
        return Err(Greeting::Stranger(Stranger::TooOld { version: status.version }));
    }
    let found = status.header.map_or(0, |header| header.cluster_id);
    if *cluster.get_or_init(|| found) == found {
        Ok(())
    } else {
        Err(Greeting::Stranger(Stranger::OtherCluster))
    }
}

async fn ask(connection: &Connection, tokens: &Tokens) -> Result<StatusResponse, Verdict> {
    for is_again in [false, true] {
        let line = Line::new(connection.clone(), tokens.current(), false);
        let verdict = match line.maintenance().status(line.request(StatusRequest {})).await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) => judge(&status),
        };
        if verdict != Verdict::WhoAreYou || is_again || tokens.renew(&line).await.is_err() {
            return Err(verdict);
        }
    }
    unreachable!("the second answer is taken as it is")
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map_while(|part| part.parse::<u64>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => (major, minor) >= OLDEST,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etcd_before_3_4_is_too_old_and_says_so_in_one_sentence() {
        for version in ["3.4.0", "3.4.23", "3.5.21", "3.10.0-rc.1", "4.0.0"] {
            assert!(is_new_enough(version), "{version}");
        }
        for version in ["3.3.27", "2.3.8", "", "unknown"] {
            assert!(!is_new_enough(version), "{version}");
        }
        let told = Stranger::TooOld { version: "3.3.27".into() }.to_string();
        assert_eq!(told, "it is etcd 3.3.27, at least 3.4 is needed");
    }
}
