//! Meeting etcd for the first time: whatever is wrong is said in one sentence, within the deadline.

use std::sync::Arc;

use thiserror::Error;

use super::address::is_prefix;
use super::config::Config;
use super::greeting::Stranger;
use super::keyspace::Keyspace;
use super::link::{Effort, Failure, Link};
use super::members::Unreached;
use super::tls::{self, TlsError};
use super::verdict::Denial;
use super::wire::RangeRequest;

/// An etcd that cannot be used.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Made by hand, and wrong.
    #[error(
        "an etcd needs at least one endpoint and a prefix of letters, digits, '.', '_', '-' between single slashes"
    )]
    Config,
    /// A file for TLS.
    #[error("cannot set up TLS to etcd")]
    Tls(#[from] TlsError),
    /// No member answered, or none has a leader.
    #[error("cannot reach etcd: {reason}")]
    Unreachable {
        /// What each member said.
        reason: String,
    },
    /// Members answer, but none will ever do.
    #[error("cannot use this etcd: {reason}")]
    Unusable {
        /// What each member said.
        reason: String,
        /// What is wrong with one of them.
        stranger: Stranger,
    },
    /// Name and password do not fit.
    #[error("etcd does not know user {user:?} with this password")]
    WrongCredentials {
        /// The name.
        user: String,
    },
    /// etcd asks who we are.
    #[error("etcd asks for a user and a password")]
    NoUser,
    /// The user lacks rights.
    #[error("{who} may not read the keys under {prefix:?} in etcd")]
    Forbidden {
        /// The user, or that of our certificate.
        who: String,
        /// Where rights are needed.
        prefix: String,
    },
}

/// A link to an etcd that answers, to us, for this cloud.
pub(super) async fn open(config: Config) -> Result<(Arc<Link>, Keyspace), OpenError> {
    if config.endpoints.is_empty() || !is_prefix(&config.prefix) {
        return Err(OpenError::Config);
    }
    let tls = config.tls.as_ref().map(tls::connector).transpose()?;
    let keys = Keyspace::new(&config.prefix);
    let link = Link::new(config, tls);
    let met = meet(&link, &keys).await;
    if met.is_err() {
        link.close();
    }
    met.map(|()| (Arc::new(link), keys))
}

async fn meet(link: &Link, keys: &Keyspace) -> Result<(), OpenError> {
    let user = link.config.user.as_ref().map(|user| user.name.clone());
    let line = link.first_contact().await.map_err(|Unreached { reason, stranger, .. }| match stranger {
        Some(stranger) => OpenError::Unusable { reason, stranger },
        None => OpenError::Unreachable { reason },
    })?;
    let deadline = tokio::time::Instant::now() + link.config.request_deadline;
    let explain = |failure| explain(failure, user.clone(), keys);
    if user.is_some() {
        match link.introduce(&line, deadline).await {
            Ok(()) => {}
            Err(Failure::Refused { denial: Denial::AuthOff, .. }) => {
                tracing::warn!("etcd does not ask for users: anybody may change the state");
            }
            Err(failure) => return Err(explain(failure)),
        }
    }
    let look = RangeRequest {
        key: keys.outer(b""),
        range_end: keys.end(b""),
        count_only: true,
        ..RangeRequest::default()
    };
    let looked = link.call(Effort::Repeat, |line| {
        let request = line.request(look.clone());
        async move { line.kv().range(request).await.map(drop) }
    });
    looked.await.map_err(explain)
}

fn explain(failure: Failure, user: Option<String>, keys: &Keyspace) -> OpenError {
    match failure {
        Failure::Refused { denial: Denial::WrongCredentials, .. } => {
            OpenError::WrongCredentials { user: user.unwrap_or_default() }
        }
        Failure::Refused { denial: Denial::UserMissing, .. } => OpenError::NoUser,
        Failure::Refused { denial: Denial::Forbidden, .. } => {
            let who = user
                .map_or_else(|| "the user our certificate names".to_owned(), |user| format!("user {user:?}"));
            OpenError::Forbidden { who, prefix: keys.name() }
        }
        Failure::Refused { denial, .. } => OpenError::Unreachable { reason: denial.to_string() },
        Failure::Away(reason) | Failure::Unclear(reason) => OpenError::Unreachable { reason },
    }
}
