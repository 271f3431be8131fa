//! Lookups, lists and where etcd stands.

use crate::{Consistency, Entry, Key, Lookup, Page, Range, ReadError, Revision, Status};

use super::history::History;
use super::keyspace::Keyspace;
use super::link::{Effort, Failure, Link};
use super::verdict::Denial;
use super::wire::{self, MemberListRequest, RangeRequest, RangeResponse, StatusRequest, StatusResponse};

/// Entries asked for at first. Values can have 512 KiB, and etcd makes an answer whole in its memory.
const FIRST_ENTRIES: usize = 64;
/// How large answers should be.
const WANTED_BYTES: usize = 4 << 20;
/// How much larger than the one before an answer may become, in entries.
const GROWTH: usize = 16;
/// How often a list without a revision begins again when its revision is compacted under it.
const RESTARTS: usize = 3;

/// One question about keys.
pub(super) async fn ask(
    link: &Link,
    consistency: Consistency,
    request: RangeRequest,
) -> Result<RangeResponse, Failure> {
    let serializable = consistency == Consistency::Stale;
    let effort = if serializable { Effort::RepeatStale } else { Effort::Repeat };
    let request = RangeRequest { serializable, ..request };
    link.call(effort, |line| {
        let request = line.request(request.clone());
        async move { line.kv().range(request).await.map(tonic::Response::into_inner) }
    })
    .await
}

pub(super) async fn get(
    link: &Link,
    keys: &Keyspace,
    key: &Key,
    consistency: Consistency,
) -> Result<Lookup, ReadError> {
    let request = RangeRequest { key: keys.outer(key), ..RangeRequest::default() };
    let answer = ask(link, consistency, request).await.map_err(unavailable)?;
    let revision = wire::revision_of(answer.header.as_ref());
    Ok(Lookup { entry: answer.kvs.into_iter().next().and_then(|found| keys.entry(found)), revision })
}

/// The revision that etcd is at, agreed with its other members.
pub(super) async fn head(link: &Link, keys: &Keyspace) -> Result<Revision, ReadError> {
    // The first key under the prefix: nobody can have rights on the cloud and not on it.
    let request = RangeRequest { key: keys.outer(b"\0"), count_only: true, ..RangeRequest::default() };
    let answer = ask(link, Consistency::Linearizable, request).await.map_err(unavailable)?;
    Ok(wire::revision_of(answer.header.as_ref()))
}

pub(super) async fn range(link: &Link, keys: &Keyspace, range: &Range) -> Result<Page, ReadError> {
    for _ in 0..RESTARTS {
        match page(link, keys, range).await {
            Err(ReadError::Compacted { .. }) if range.at.is_none() => {}
            other => return other,
        }
    }
    page(link, keys, range).await
}

/// Asks in answers of bearable size until there are enough entries.
async fn page(link: &Link, keys: &Keyspace, range: &Range) -> Result<Page, ReadError> {
    let range_end = keys.end(&range.prefix);
    let mut start = match &range.after {
        // A key before the prefix must not widen the range.
        Some(after) if **after >= *range.prefix => after_key(keys, after),
        _ => keys.outer(&range.prefix),
    };
    let (mut revision, mut entries) = (range.at, Vec::new());
    let mut step = FIRST_ENTRIES;
    loop {
        let left = range.limit.map_or(usize::MAX, |limit| limit - entries.len());
        let answer = if start >= range_end {
            count(link, keys, range.consistency, revision).await?
        } else {
            let limit = i64::try_from(step.min(left)).unwrap_or(i64::MAX);
            let request = RangeRequest {
                key: start.clone(),
                range_end: range_end.clone(),
                limit,
                ..RangeRequest::default()
            };
            at_revision(link, range.consistency, revision, request).await?
        };
        let revision = *revision.get_or_insert_with(|| wire::revision_of(answer.header.as_ref()));
        let bytes: usize = answer.kvs.iter().map(|found| found.key.len() + found.value.len() + 32).sum();
        let count = answer.kvs.len();
        entries.extend(answer.kvs.into_iter().filter_map(|found| keys.entry(found)));
        let is_full = range.limit.is_some_and(|limit| entries.len() >= limit);
        match entries.last() {
            Some(Entry { key, .. }) if answer.more && !is_full => start = after_key(keys, key),
            _ => return Ok(Page { entries, revision, more: answer.more }),
        }
        step = (WANTED_BYTES * count / bytes.max(1)).clamp(1, count * GROWTH);
    }
}

/// The key that follows `key` immediately.
fn after_key(keys: &Keyspace, key: &Key) -> bytes::Bytes {
    let mut after = key.to_vec();
    after.push(0);
    keys.outer(&after)
}

/// An empty list also has a revision, and it must be readable.
async fn count(
    link: &Link,
    keys: &Keyspace,
    consistency: Consistency,
    revision: Option<Revision>,
) -> Result<RangeResponse, ReadError> {
    let request = RangeRequest { key: keys.outer(b"\0"), count_only: true, ..RangeRequest::default() };
    at_revision(link, consistency, revision, request).await
}

async fn at_revision(
    link: &Link,
    consistency: Consistency,
    revision: Option<Revision>,
    request: RangeRequest,
) -> Result<RangeResponse, ReadError> {
    let request = RangeRequest { revision: revision.map_or(0, wire::number), ..request };
    let mut answer = ask(link, consistency, request.clone()).await;
    if consistency == Consistency::Stale
        && matches!(answer, Err(Failure::Refused { denial: Denial::Future, .. }))
    {
        // The member that answers now is behind the one that gave the first page.
        answer = ask(link, Consistency::Linearizable, request).await;
    }
    answer.map_err(|failure| match (failure, revision) {
        (Failure::Refused { denial: Denial::Compacted | Denial::Future, .. }, Some(asked)) => {
            ReadError::Compacted { asked }
        }
        (failure, _) => unavailable(failure),
    })
}

pub(super) async fn status(link: &Link, keys: &Keyspace, history: &History) -> Result<Status, ReadError> {
    let all = RangeRequest {
        key: keys.outer(b""),
        range_end: keys.end(b""),
        count_only: true,
        ..RangeRequest::default()
    };
    let counted = ask(link, Consistency::Linearizable, all).await.map_err(unavailable)?;
    let member = member(link).await?;
    Ok(Status {
        engine: "etcd",
        revision: wire::revision_of(counted.header.as_ref()),
        oldest: history.oldest(link, keys).await?,
        keys: u64::try_from(counted.count).unwrap_or(0),
        disk_bytes: u64::try_from(member.db_size).unwrap_or(0),
        epoch: None,
        leader: leader_name(link, member.leader).await,
    })
}

/// What a member says of itself.
pub(super) async fn member(link: &Link) -> Result<StatusResponse, ReadError> {
    link.call(Effort::Repeat, |line| async move {
        let request = line.request(StatusRequest {});
        line.maintenance().status(request).await.map(tonic::Response::into_inner)
    })
    .await
    .map_err(unavailable)
}

/// The leading member's name, or its number where members have no names or are not shown.
async fn leader_name(link: &Link, leader: u64) -> Option<String> {
    if leader == 0 {
        return None;
    }
    let members = link
        .call(Effort::Repeat, |line| async move {
            let request = line.request(MemberListRequest {});
            line.cluster().member_list(request).await.map(tonic::Response::into_inner)
        })
        .await;
    let name = members.ok().and_then(|list| list.members.into_iter().find(|member| member.id == leader));
    let name = name.map(|member| member.name).filter(|name| !name.is_empty());
    Some(name.unwrap_or_else(|| format!("{leader:x}")))
}

pub(super) fn unavailable(failure: Failure) -> ReadError {
    ReadError::Unavailable(failure.into())
}
