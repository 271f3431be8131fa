//! The one place that asks what time it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kogge_model::time::Timestamp;

/// The wall clock, as the cores take it: an argument.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// Since the machine was started, the same for all its processes: never jumps, and goes on while the machine sleeps
/// (`CLOCK_BOOTTIME`).
#[must_use]
pub fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), nanos)
}

/// Waits until `deadline`, or for ever when there is none.
pub async fn sleep_until(deadline: Option<Timestamp>) {
    match deadline {
        Some(at) => tokio::time::sleep(at.saturating_since(now())).await,
        None => std::future::pending().await,
    }
}
