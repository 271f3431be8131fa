//! Leases, which etcd counts in whole seconds.

use std::time::Duration;

use futures_util::stream;
use tokio::time::Instant;

use crate::{Lease, LeaseError, LeaseId};

use super::link::{Effort, Failure, Link};
use super::verdict::Denial;
use super::wire::{self, LeaseGrantRequest, LeaseKeepAliveRequest, LeaseRevokeRequest};

const TTL_BOUNDS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(24 * 3600);

/// A new lease. One that is granted without an answer ends by itself.
pub(super) async fn grant(link: &Link, ttl: Duration) -> Result<Lease, LeaseError> {
    if !TTL_BOUNDS.contains(&ttl) {
        return Err(LeaseError::TtlOutOfBounds { ttl });
    }
    let whole = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
    let request = LeaseGrantRequest { ttl: i64::try_from(whole).expect("the bounds hold") };
    let answer = link
        .call(Effort::Once, |line| async move {
            let request = line.request(request);
            line.lease().lease_grant(request).await.map(tonic::Response::into_inner)
        })
        .await
        .map_err(as_lease_error)?;
    let granted = wire::lease_id(answer.id).zip(seconds(answer.ttl));
    let (id, ttl) =
        granted.ok_or_else(|| as_lease_error(Failure::Away("etcd granted no lease".to_owned())))?;
    Ok(Lease { id, ttl })
}

/// A sign of life, until `deadline`.
pub(super) async fn keep_alive(
    link: &Link,
    lease: LeaseId,
    deadline: Instant,
) -> Result<Duration, LeaseError> {
    let not_found = LeaseError::NotFound { lease };
    let Some(id) = wire::lease_number(lease) else { return Err(not_found) };
    let answer = link
        .call_by(deadline, Effort::Repeat, |line| async move {
            let asks = line.request(stream::iter([LeaseKeepAliveRequest { id }]));
            let mut answers = line.lease().lease_keep_alive(asks).await?.into_inner();
            answers.message().await?.ok_or_else(|| tonic::Status::unavailable("etcd ended the stream"))
        })
        .await;
    match answer {
        // Zero: there is none.
        Ok(answer) => seconds(answer.ttl).ok_or(not_found),
        Err(Failure::Refused { denial: Denial::LeaseUnknown, .. }) => Err(not_found),
        Err(failure) => Err(as_lease_error(failure)),
    }
}

/// Ends a lease.
pub(super) async fn revoke(link: &Link, lease: LeaseId) -> Result<(), LeaseError> {
    let not_found = LeaseError::NotFound { lease };
    let Some(id) = wire::lease_number(lease) else { return Err(not_found) };
    let answer = link
        .call(Effort::Repeat, |line| async move {
            let request = line.request(LeaseRevokeRequest { id });
            line.lease().lease_revoke(request).await.map(drop)
        })
        .await;
    match answer {
        // It is this call that ended it, with a try whose answer was lost.
        Ok(()) | Err(Failure::Refused { denial: Denial::LeaseUnknown, after_unclear: true }) => Ok(()),
        Err(Failure::Refused { denial: Denial::LeaseUnknown, after_unclear: false }) => Err(not_found),
        Err(failure) => Err(as_lease_error(failure)),
    }
}

fn seconds(number: i64) -> Option<Duration> {
    u64::try_from(number).ok().filter(|&number| number > 0).map(Duration::from_secs)
}

fn as_lease_error(failure: Failure) -> LeaseError {
    match failure {
        Failure::Refused { denial: Denial::QuotaFull, .. } => LeaseError::NoSpace,
        failure => LeaseError::Unavailable(failure.into()),
    }
}
