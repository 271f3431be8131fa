//! A commit as one etcd transaction: guards are compares, operations are what happens if all hold, and if not the
//! guarded keys are read in the same transaction, to say which guard did not.

use prost::Message;

use crate::{Commit, CommitError, Guard, LeaseId, Op, Revision, Unavailable};

use super::keyspace::Keyspace;
use super::link::{Effort, Failure, Link};
use super::verdict::Denial;
use super::wire::compare::{CompareResult, CompareTarget, TargetUnion};
use super::wire::request_op::Request;
use super::wire::response_op::Response;
use super::wire::{
    self, Compare, DeleteRangeRequest, KeyValue, LeaseTimeToLiveRequest, PutRequest, RangeRequest, RequestOp,
    TxnRequest, TxnResponse,
};

/// Applies a commit that was checked before.
pub(super) async fn commit(link: &Link, keys: &Keyspace, commit: &Commit) -> Result<Revision, CommitError> {
    for (index, lease) in leases(commit) {
        if wire::lease_number(lease).is_none() {
            return Err(CommitError::LeaseEnded { index, lease });
        }
    }
    let request = request(keys, commit);
    link.growth.write(request.encoded_len());
    // What only reads may be asked again.
    let effort = if commit.ops.is_empty() { Effort::Repeat } else { Effort::Once };
    let answer = link
        .write(effort, |line| {
            let request = line.request(request.clone());
            async move { line.kv().txn(request).await.map(tonic::Response::into_inner) }
        })
        .await;
    match answer {
        Ok(answer) => outcome(&commit.guards, answer),
        Err(Failure::Refused { denial: Denial::LeaseUnknown, .. }) => Err(ended_lease(link, commit).await),
        Err(failure) => Err(as_commit_error(failure)),
    }
}

/// What a failure means to a writer.
pub(super) fn as_commit_error(failure: Failure) -> CommitError {
    match failure {
        Failure::Refused { denial: Denial::QuotaFull, .. } => CommitError::NoSpace,
        Failure::Unclear(reason) => CommitError::OutcomeUnknown { reason: reason.into() },
        failure => CommitError::Unavailable(failure.into()),
    }
}

impl From<Failure> for Unavailable {
    fn from(failure: Failure) -> Self {
        Self::new(match failure {
            Failure::Away(reason) | Failure::Unclear(reason) => reason,
            Failure::Refused { denial, .. } => denial.to_string(),
        })
    }
}

fn leases(commit: &Commit) -> impl Iterator<Item = (usize, LeaseId)> {
    commit.ops.iter().enumerate().filter_map(|(index, op)| match op {
        Op::Put { lease: Some(lease), .. } => Some((index, *lease)),
        Op::Put { .. } | Op::Delete { .. } => None,
    })
}

fn request(keys: &Keyspace, commit: &Commit) -> TxnRequest {
    TxnRequest {
        compare: commit.guards.iter().map(|guard| compare(keys, guard)).collect(),
        success: commit.ops.iter().map(|op| RequestOp { request: Some(operation(keys, op)) }).collect(),
        failure: commit.guards.iter().map(|guard| RequestOp { request: Some(look(keys, guard)) }).collect(),
    }
}

/// A key that does not exist has version, creation and modification 0.
fn compare(keys: &Keyspace, guard: &Guard) -> Compare {
    let (result, target, union) = match guard {
        Guard::Absent(_) => (CompareResult::Equal, CompareTarget::Version, TargetUnion::Version(0)),
        Guard::Present(_) => (CompareResult::Greater, CompareTarget::Version, TargetUnion::Version(0)),
        Guard::Modified(_, at) => {
            (CompareResult::Equal, CompareTarget::Mod, TargetUnion::ModRevision(real(*at)))
        }
        Guard::Created(_, at) => {
            (CompareResult::Equal, CompareTarget::Create, TargetUnion::CreateRevision(real(*at)))
        }
    };
    Compare {
        result: result.into(),
        target: target.into(),
        key: keys.outer(guard.key()),
        target_union: Some(union),
    }
}

/// Zero would match a key that does not exist; no batch has that revision, nor a negative one.
fn real(revision: Revision) -> i64 {
    if revision == Revision::ZERO { -1 } else { wire::number(revision) }
}

fn operation(keys: &Keyspace, op: &Op) -> Request {
    match op {
        Op::Put { key, value, lease } => Request::RequestPut(PutRequest {
            key: keys.outer(key),
            value: value.clone(),
            lease: lease.and_then(wire::lease_number).unwrap_or(0),
        }),
        Op::Delete { key } => Request::RequestDeleteRange(DeleteRangeRequest { key: keys.outer(key) }),
    }
}

fn look(keys: &Keyspace, guard: &Guard) -> Request {
    Request::RequestRange(RangeRequest {
        key: keys.outer(guard.key()),
        keys_only: true,
        ..RangeRequest::default()
    })
}

fn outcome(guards: &[Guard], answer: TxnResponse) -> Result<Revision, CommitError> {
    if answer.succeeded {
        return Ok(wire::revision_of(answer.header.as_ref()));
    }
    let found = answer.responses.into_iter().map(|response| match response.response {
        Some(Response::ResponseRange(range)) => range.kvs.into_iter().next(),
        _ => None,
    });
    let failed = guards.iter().zip(found).position(|(guard, found)| !holds(guard, found.as_ref()));
    let reason = "etcd refused a transaction whose guards all hold";
    failed.map_or_else(
        || Err(CommitError::Unavailable(Unavailable::new(reason))),
        |index| Err(CommitError::Conflict { index }),
    )
}

fn holds(guard: &Guard, found: Option<&KeyValue>) -> bool {
    match guard {
        Guard::Absent(_) => found.is_none(),
        Guard::Present(_) => found.is_some(),
        Guard::Modified(_, at) => found.is_some_and(|found| found.mod_revision == real(*at)),
        Guard::Created(_, at) => found.is_some_and(|found| found.create_revision == real(*at)),
    }
}

/// etcd does not say which of the leases it missed.
async fn ended_lease(link: &Link, commit: &Commit) -> CommitError {
    let mut asked = Vec::new();
    for (index, lease) in leases(commit) {
        if asked.contains(&lease) {
            continue;
        }
        asked.push(lease);
        let request = LeaseTimeToLiveRequest { id: wire::lease_number(lease).unwrap_or(0) };
        let answer = link
            .call(Effort::Repeat, |line| async move {
                let request = line.request(request);
                line.lease().lease_time_to_live(request).await.map(tonic::Response::into_inner)
            })
            .await;
        match answer {
            // Below zero: there is none.
            Ok(answer) if answer.ttl < 0 => return CommitError::LeaseEnded { index, lease },
            Ok(_) => {}
            Err(failure) => return CommitError::Unavailable(failure.into()),
        }
    }
    CommitError::Unavailable(Unavailable::new("a lease ended and another one of the commit lives"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_guard_that_does_not_hold_is_named() {
        let found = KeyValue { create_revision: 5, mod_revision: 7, version: 2, ..KeyValue::default() };
        let at = |number| Revision::new(number);
        for (guard, if_found, if_not) in [
            (Guard::Absent("k".into()), false, true),
            (Guard::Present("k".into()), true, false),
            (Guard::Modified("k".into(), at(7)), true, false),
            (Guard::Modified("k".into(), at(5)), false, false),
            (Guard::Created("k".into(), at(5)), true, false),
            (Guard::Created("k".into(), Revision::ZERO), false, false),
        ] {
            assert_eq!(holds(&guard, Some(&found)), if_found, "{guard:?}");
            assert_eq!(holds(&guard, None), if_not, "{guard:?}");
        }
    }
}
