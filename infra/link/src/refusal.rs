//! A no, with its kind for the program and its sentence for people.

use std::fmt;

use kogge_model::reason::Reason;

use crate::identity::Untrusted;
use crate::token;
use crate::wire;

/// Why the other side does not want us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What a program can branch on.
    pub kind: RefusalKind,
    /// What a person can read.
    pub reason: Reason,
}

/// Kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The join token.
    Token,
    /// The certificate.
    Certificate,
    /// Whoever shows the certificate is no member any more.
    Membership,
    /// Somebody else is here with the same identity.
    Cloned,
    /// No version of the protocol in common.
    Version,
    /// The clocks are too far apart.
    Clock,
    /// Not now.
    Unavailable,
    /// What was sent makes no sense.
    Malformed,
}

impl Refusal {
    /// A refusal without a hint.
    #[must_use]
    pub fn new(kind: RefusalKind, text: impl Into<String>) -> Self {
        Self { kind, reason: Reason::new(text) }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: &str) -> Self {
        self.reason = self.reason.with_hint(hint);
        self
    }

    /// For calls that have no place of their own for a refusal.
    pub(crate) fn status(&self) -> tonic::Status {
        match self.kind {
            RefusalKind::Unavailable => tonic::Status::unavailable(&self.reason.text),
            RefusalKind::Malformed => tonic::Status::invalid_argument(&self.reason.text),
            _ => tonic::Status::permission_denied(&self.reason.text),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl std::error::Error for Refusal {}

impl From<Untrusted> for Refusal {
    fn from(why: Untrusted) -> Self {
        let refusal = Self::new(RefusalKind::Certificate, why.to_string());
        match why.hint() {
            Some(hint) => refusal.with_hint(hint),
            None => refusal,
        }
    }
}

impl From<token::Refused> for Refusal {
    fn from(why: token::Refused) -> Self {
        Self::new(RefusalKind::Token, why.to_string()).with_hint(why.hint())
    }
}

impl From<Refusal> for wire::Refusal {
    fn from(refusal: Refusal) -> Self {
        use wire::refusal::Kind;
        let kind = match refusal.kind {
            RefusalKind::Token => Kind::Token,
            RefusalKind::Certificate => Kind::Certificate,
            RefusalKind::Membership => Kind::Membership,
            RefusalKind::Cloned => Kind::Cloned,
            RefusalKind::Version => Kind::Version,
            RefusalKind::Clock => Kind::Clock,
            RefusalKind::Unavailable => Kind::Unavailable,
            RefusalKind::Malformed => Kind::Malformed,
        };
        let hint = refusal.reason.hint.unwrap_or_default();
        Self { kind: kind.into(), text: refusal.reason.text, hint }
    }
}

impl From<wire::Refusal> for Refusal {
    fn from(refusal: wire::Refusal) -> Self {
        use wire::refusal::Kind;
        let kind = match refusal.kind() {
            Kind::Token => RefusalKind::Token,
            Kind::Certificate => RefusalKind::Certificate,
            Kind::Membership => RefusalKind::Membership,
            Kind::Cloned => RefusalKind::Cloned,
            Kind::Version => RefusalKind::Version,
            Kind::Clock => RefusalKind::Clock,
            Kind::Malformed => RefusalKind::Malformed,
            // A kind that a newer server knows: its sentence still says why.
            Kind::Unavailable | Kind::Unspecified => RefusalKind::Unavailable,
        };
        let hint = (!refusal.hint.is_empty()).then_some(refusal.hint);
        Self { kind, reason: Reason { text: refusal.text, hint } }
    }
}
