//! Waiting for a condition, with a deadline; never for time to pass.

use std::time::{Duration, Instant};

/// Looks until `look` finds something.
///
/// # Panics
/// When it found nothing within `limit`; `what` says what was waited for.
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
