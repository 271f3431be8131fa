//! The messages and calls of etcd's protocol, made from `proto/etcd.proto`, and numbers on their way to and from it.

use crate::{LeaseId, Revision};

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::enum_variant_names,
    reason = "made by a generator, which knows only public items"
)]
mod etcdserverpb {
    tonic::include_proto!("etcdserverpb");
}

pub(super) use etcdserverpb::*;

/// A revision as etcd counts, in a signed number.
pub(super) fn number(revision: Revision) -> i64 {
    i64::try_from(revision.get()).unwrap_or(i64::MAX)
}

/// What etcd says it is at.
pub(super) fn revision(number: i64) -> Revision {
    Revision::new(u64::try_from(number).unwrap_or(0))
}

/// The revision of an answer.
pub(super) fn revision_of(header: Option<&ResponseHeader>) -> Revision {
    header.map_or(Revision::ZERO, |header| revision(header.revision))
}

/// A lease's number on the wire; none if etcd can never have granted it.
pub(super) fn lease_number(lease: LeaseId) -> Option<i64> {
    i64::try_from(lease.get()).ok().filter(|&number| number != 0)
}

/// The lease that owns an entry; zero is none.
pub(super) fn lease_id(number: i64) -> Option<LeaseId> {
    u64::try_from(number).ok().filter(|&number| number != 0).map(LeaseId::new)
}
