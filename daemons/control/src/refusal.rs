//! Why a request was not granted, told apart by who is at fault.

use kogge_model::fault::{Fault, Faults};
use kogge_model::reason::Reason;
use kogge_store::CommitError;
use thiserror::Error;

/// A request that changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The thing it is about does not exist.
    #[error("{}", .0.text)]
    NotFound(Reason),
    /// It clashes with what is, or with another change.
    #[error("{}", .0.text)]
    Conflict(Reason),
    /// Fields break rules.
    #[error("{0}")]
    Invalid(Faults),
    /// It cannot be done now, but may be later.
    #[error("{}", .0.text)]
    Unavailable(Reason),
    /// Another server has to do it; this one has changed nothing.
    #[error("{}", .0.text)]
    NotLeader(Reason),
    /// There is no space to remember it.
    #[error("{}", .0.text)]
    NoSpace(Reason),
    /// We are at fault.
    #[error("{}", .0.text)]
    Broken(Reason),
}

impl Refusal {
    /// One broken field.
    #[must_use]
    pub fn field(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::Invalid(Faults(vec![Fault { field: field.into(), rule: rule.into() }]))
    }

    /// Control is ending or has ended.
    #[must_use]
    pub fn ending() -> Self {
        Self::Unavailable(Reason::new("the cloud is shutting down"))
    }

    /// What one can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Invalid(_) => None,
            Self::NotFound(reason)
            | Self::Conflict(reason)
            | Self::Unavailable(reason)
            | Self::NotLeader(reason)
            | Self::NoSpace(reason)
            | Self::Broken(reason) => reason.hint.as_deref(),
        }
    }
}

impl From<Faults> for Refusal {
    fn from(faults: Faults) -> Self {
        Self::Invalid(faults)
    }
}

impl From<CommitError> for Refusal {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::NoSpace => Self::NoSpace(
                Reason::new("no space left to save the change: nothing was changed")
                    .with_hint("make room on the disk of the state engine, or in its quota (etcd: then `etcdctl alarm disarm`); running tasks go on"),
            ),
            CommitError::Unavailable(_) | CommitError::OutcomeUnknown { .. } => {
                Self::Unavailable(Reason::new(error.to_string()))
            }
            CommitError::Conflict { .. } => {
                Self::NotLeader(Reason::new("this server does not lead any more: nothing was changed"))
            }
            CommitError::Refused(_) | CommitError::LeaseEnded { .. } => {
                Self::Broken(Reason::new(error.to_string()))
            }
        }
    }
}
