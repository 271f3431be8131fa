//! What can go wrong between us and the API.

use std::io;
use std::time::Duration;

use http::Method;
use kogge_model::view::Problem;
use kogge_model::view::exec::FrameError;
use thiserror::Error;

use crate::request::Request;
use crate::trust::{self, Untrusted};

/// A request that was not answered with what was asked for.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens, or nobody can be reached.
    #[error("the cloud does not answer at {api}")]
    Connect {
        /// The API's URL.
        api: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// None of several servers can be reached.
    #[error("no server of the cloud answers: {tried}")]
    NoServer {
        /// Each with the reason.
        tried: String,
    },
    /// Somebody answers who is not believed; nothing was told to them.
    #[error("the server at {api} is not believed")]
    Untrusted {
        /// The API's URL.
        api: String,
        /// Why not.
        #[source]
        why: Untrusted,
    },
    /// Something answers that does not speak TLS as we do.
    #[error("cannot talk TLS with {api}")]
    Handshake {
        /// The API's URL.
        api: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The cloud is reached without TLS.
    #[error("{api} is not behind TLS: it shows no certificate")]
    NoAuthority {
        /// The API's URL.
        api: String,
    },
    /// The connection broke before the answer was whole.
    #[error("the connection broke during {request}{}", outcome(.request))]
    Broken {
        /// Method and path.
        request: String,
        /// What broke.
        #[source]
        source: hyper::Error,
    },
    /// Nothing came in time.
    #[error("no answer to {request} within {} s{}", .after.as_secs(), outcome(.request))]
    Deadline {
        /// Method and path.
        request: String,
        /// How long we waited.
        after: Duration,
    },
    /// The API says why not.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// Something answered that is not the API.
    #[error("{request} was answered with status {status} by something that is not Kogge's API{text}")]
    Foreign {
        /// Method and path.
        request: String,
        /// The HTTP status.
        status: u16,
        /// The beginning of what it said, after a colon.
        text: String,
    },
    /// The API's answer cannot be understood.
    #[error("cannot understand the answer to {request}")]
    Malformed {
        /// Method and path.
        request: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A line or event longer than anything the API sends.
    #[error("the answer to {request} holds a line of more than {bytes} bytes")]
    TooLong {
        /// Method and path.
        request: String,
        /// The bound.
        bytes: usize,
    },
    /// What is to be sent cannot be read.
    #[error("cannot read what is to be uploaded")]
    Upload(#[source] io::Error),
    /// The exec connection speaks another language.
    #[error("cannot understand the exec connection")]
    Frame(#[from] FrameError),
    /// The exec connection ended without saying how the command did.
    #[error("the exec connection was lost: whether the command goes on is not known")]
    ExecLost(#[source] Option<io::Error>),
}

/// Whoever changes something must be told when it may have happened all the same.
fn outcome(request: &str) -> &'static str {
    if request.starts_with("GET ") { "" } else { ": whether it was done is not known" }
}

impl ClientError {
    /// What to do, when there is something.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Connect { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused => {
                Some("start it with `kogge up --detach`; its tasks run on meanwhile".to_owned())
            }
            Self::Connect { .. } | Self::NoServer { .. } => {
                Some("check the addresses in --api or KOGGE_API".to_owned())
            }
            Self::Untrusted { why, .. } => Some(why.hint().to_owned()),
            Self::Handshake { .. } => {
                Some("check the port: it must be the door that `kogge doors` calls api_tls".to_owned())
            }
            Self::NoAuthority { .. } => Some(
                "name the door that `kogge doors` calls api_tls, with --api https://HOST:PORT".to_owned(),
            ),
            Self::Broken { source, .. } if source.is_parse() => Some(
                "if it is the door that `kogge doors` calls api_tls, its URL begins with https://".to_owned(),
            ),
            Self::Refused(problem) => problem.hint.clone(),
            Self::Foreign { .. } => {
                Some("check --api: it must be the door that `kogge doors` calls api".to_owned())
            }
            Self::Malformed { .. } | Self::Frame(_) => {
                Some("compare `kogge --version` with the cloud's in `kogge status`".to_owned())
            }
            Self::Deadline { .. } | Self::Broken { .. } | Self::ExecLost(_) => {
                Some("look at `kogge status` and `kogge ps`, then try again".to_owned())
            }
            Self::TooLong { .. } | Self::Upload(_) => None,
        }
    }

    /// Whether the API said that there is no such thing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(problem) if problem.status == 404)
    }

    /// Whether nobody is there (any more).
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::NoServer { .. })
    }

    /// Whether another server may be asked the same: this one has not done it, or it only was to look.
    pub(crate) fn is_for_another_server(&self, request: &Request) -> bool {
        let only_looks = request.method == Method::GET;
        match self {
            Self::Refused(problem) if problem.status == 503 => only_looks || problem.is_not_leader(),
            Self::Broken { .. } | Self::Deadline { .. } => only_looks,
            _ => false,
        }
    }

    /// What to tell when each server has failed: whatever says more than that it cannot be reached.
    pub(crate) fn of_all(mut failures: Vec<Self>) -> Self {
        let telling = failures.iter().position(|failure| !matches!(failure, Self::Connect { .. }));
        if let Some(at) = telling.or_else(|| (failures.len() == 1).then_some(0)) {
            return failures.swap_remove(at);
        }
        let reason = |failure: &Self| match failure {
            Self::Connect { api, source } => format!("{api}: {source}"),
            other => other.to_string(),
        };
        Self::NoServer { tried: failures.iter().map(reason).collect::<Vec<_>>().join("; ") }
    }

    /// A handshake that failed.
    pub(crate) fn untrusted(api: String, source: io::Error) -> Self {
        match (trust::untrusted(&source), source.kind()) {
            (Some(why), _) => Self::Untrusted { api, why },
            // It was about to end, or had no place for one more.
            (None, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
                Self::Connect { api, source }
            }
            (None, _) => Self::Handshake { api, source },
        }
    }
}
