//! How far behind the reactor is with what agents have said: a word that waits to be heard is no silence.
//!
//! ```text
//!  said ──▶ ░░░░░░░░░ wait ░░░░░░░░░ ──▶ heard
//!           └ mark: when all that waits now has been heard, so has been all that was said until now
//! ```

use std::time::Duration;

/// Follows a queue by counting what comes out of it. Times are of a clock that never jumps.
#[derive(Debug)]
pub(crate) struct Hearing {
    /// Everything that was said until then has been heard.
    until: Duration,
    /// When the next part of the queue was marked.
    mark: Duration,
    /// So many words stand before that mark.
    ahead: usize,
}

impl Hearing {
    /// Nothing waits.
    pub(crate) const fn new(now: Duration) -> Self {
        Self { until: now, mark: now, ahead: 0 }
    }

    /// `count` words were heard and `waiting` are still to be; tells for how long the oldest of them may have waited.
    pub(crate) fn heard(&mut self, now: Duration, count: usize, waiting: usize) -> Duration {
        self.ahead = self.ahead.saturating_sub(count);
        if waiting == 0 {
            *self = Self::new(now);
        } else if self.ahead == 0 {
            self.until = self.until.max(self.mark);
            (self.mark, self.ahead) = (now, waiting);
        }
        now.saturating_sub(self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn who_hears_everything_is_not_behind() {
        let mut hearing = Hearing::new(at(0));
        assert_eq!(hearing.heard(at(7), 1, 0), at(0));
        assert_eq!(hearing.heard(at(9), 0, 0), at(0));
    }

    #[test]
    fn a_queue_that_never_ends_is_behind_by_what_stands_in_it() {
        let mut hearing = Hearing::new(at(0));
        assert_eq!(hearing.heard(at(1), 10, 30), at(1));
        assert_eq!(hearing.heard(at(2), 10, 30), at(2), "20 of those that waited then are left");
        assert_eq!(hearing.heard(at(3), 10, 30), at(3));
        assert_eq!(
            hearing.heard(at(4), 10, 30),
            at(3),
            "all of them are heard, and so is what was said before 1"
        );
        assert_eq!(hearing.heard(at(5), 30, 30), at(1), "and so is what was said before 4");
        assert_eq!(hearing.heard(at(6), 30, 0), at(0));
        assert_eq!(hearing.heard(at(8), 1, 5), at(2), "since 6 it is not known");
    }
}
