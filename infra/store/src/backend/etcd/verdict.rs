//! What a failed call means: etcd's errors by their texts, which are the same since 3.0
//! (<https://github.com/etcd-io/etcd/blob/main/api/v3rpc/rpctypes/error.go>), and ours by what was sent.

use thiserror::Error;
use tonic::{Code, Status};

use super::connection::Cut;

/// Sorted by what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Verdict {
    /// The answer, and it is no. Nothing happened.
    #[error("{0}")]
    Refused(Denial),
    /// etcd does not know us (any more). Nothing happened.
    #[error("etcd did not know us")]
    WhoAreYou,
    /// This member cannot, another one might. Nothing happened.
    #[error("{0}")]
    NotHere(String),
    /// It may have happened.
    #[error("{0}")]
    Unclear(String),
}

/// A no that every member would give.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Denial {
    #[error("the revision is compacted")]
    Compacted,
    #[error("the revision has not been yet")]
    Future,
    #[error("there is no such lease")]
    LeaseUnknown,
    #[error("etcd's quota is used up")]
    QuotaFull,
    #[error("etcd does not know this user with this password")]
    WrongCredentials,
    #[error("etcd does not ask for users")]
    AuthOff,
    #[error("etcd asks for a user, and none is configured")]
    UserMissing,
    #[error("etcd forbids this user to do that")]
    Forbidden,
    /// Anything else, in etcd's words.
    #[error("{0}")]
    Other(String),
}

/// What `status` means for the call that got it.
pub(super) fn judge(status: &Status) -> Verdict {
    if let Some(cut) = cut(status) {
        return match cut {
            Cut::NeverSent { .. } => Verdict::NotHere(cut.to_string()),
            Cut::Lost { .. } => Verdict::Unclear(cut.to_string()),
        };
    }
    let text = status.message();
    let says = |words: &str| text.contains(words);
    match status.code() {
        Code::OutOfRange if says("has been compacted") => Verdict::Refused(Denial::Compacted),
        Code::OutOfRange if says("future revision") => Verdict::Refused(Denial::Future),
        Code::NotFound if says("lease not found") => Verdict::Refused(Denial::LeaseUnknown),
        Code::ResourceExhausted if says("database space exceeded") => Verdict::Refused(Denial::QuotaFull),
        Code::InvalidArgument if says("authentication failed") => Verdict::Refused(Denial::WrongCredentials),
        Code::FailedPrecondition if says("authentication is not enabled") => {
            Verdict::Refused(Denial::AuthOff)
        }
        Code::Unauthenticated => Verdict::WhoAreYou,
        Code::InvalidArgument if says("user name is empty") || says("auth store is old") => {
            Verdict::WhoAreYou
        }
        Code::ResourceExhausted if says("too many requests") => Verdict::NotHere(text.to_owned()),
        Code::Unavailable if says("no leader") => Verdict::NotHere(text.to_owned()),
        Code::FailedPrecondition if says("for learner") || says("not capable") => {
            Verdict::NotHere(text.to_owned())
        }
        // A proposal that never left the member, as it knew no leader.
        Code::Unknown if says("proposal dropped") => Verdict::NotHere("it knows no leader".to_owned()),
        Code::PermissionDenied => Verdict::Refused(Denial::Forbidden),
        Code::InvalidArgument
        | Code::FailedPrecondition
        | Code::NotFound
        | Code::OutOfRange
        | Code::Unimplemented => Verdict::Refused(Denial::Other(text.to_owned())),
        _ => Verdict::Unclear(if text.is_empty() { status.code().to_string() } else { text.to_owned() }),
    }
}

fn cut(status: &Status) -> Option<&Cut> {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if let Some(cut) = error.downcast_ref::<Cut>() {
            return Some(cut);
        }
        source = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_have_happened_is_told_as_not_done() {
        let judged = |code, text: &str| judge(&Status::new(code, text));
        assert_eq!(
            judged(Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted"),
            Verdict::Refused(Denial::Compacted)
        );
        assert_eq!(
            judged(Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded"),
            Verdict::Refused(Denial::QuotaFull)
        );
        assert_eq!(judged(Code::Unauthenticated, "etcdserver: invalid auth token"), Verdict::WhoAreYou);
        assert!(matches!(judged(Code::Unavailable, "etcdserver: no leader"), Verdict::NotHere(_)));
        for (code, text) in [
            (Code::Unavailable, "etcdserver: request timed out"),
            (Code::Unavailable, "etcdserver: request timed out, possibly due to previous leader failure"),
            (Code::Unavailable, "etcdserver: server stopped"),
            (Code::Unavailable, "etcdserver: leader changed"),
            (Code::DeadlineExceeded, "etcdserver: context deadline exceeded"),
            (Code::Unknown, ""),
        ] {
            assert!(matches!(judged(code, text), Verdict::Unclear(_)), "{text}");
        }
        let lost = Status::from_error(Box::new(Cut::NeverSent { why: String::new(), guess: "" }));
        assert!(matches!(judge(&lost), Verdict::NotHere(_)));
    }
}
