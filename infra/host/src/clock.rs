//! The one place that asks what time it is.

use std::time::{SystemTime, UNIX_EPOCH};

use kogge_model::time::Timestamp;

/// The wall clock, as the cores take it: an argument.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// Waits until `deadline`, or for ever when there is none.
pub async fn sleep_until(deadline: Option<Timestamp>) {
    match deadline {
        Some(at) => tokio::time::sleep(at.saturating_since(now())).await,
        None => std::future::pending().await,
    }
}
