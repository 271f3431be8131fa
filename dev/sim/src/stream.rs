//! What TCP makes of a wire that loses packets: nothing is lost and nothing overtakes, but some of it is late.

use std::time::Duration;

use kogge_model::time::Timestamp;

use crate::chance::Chance;

/// The first wait of Linux before it sends a packet again (`TCP_RTO_MIN`).
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// And the longest (`TCP_RTO_MAX`).
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// So often a thin stream is asked to wait no longer than before (`TCP_THIN_LINEAR_RETRIES`).
const LINEAR_RETRIES: u32 = 6;

/// How the sender's waits grow while packets are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backoff {
    /// Each wait is twice the one before (RFC 6298 §5.5).
    Doubling,
    /// Only after some equal ones, as links ask of their connections (`TCP_THIN_LINEAR_TIMEOUTS`, tcp(7)).
    Thin,
}

/// One direction of one connection.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stream {
    last_arrival: Timestamp,
}

impl Stream {
    /// When something arrives that is sent at `now`, and of whose packets `lost` thousandths are lost: at once, if none
    /// is and nothing is on its way.
    pub(crate) fn arrival(
        &mut self,
        now: Timestamp,
        chance: &mut Chance,
        lost: u64,
        backoff: Backoff,
    ) -> Timestamp {
        let (mut late, mut wait, mut tries) = (Duration::ZERO, FIRST_WAIT, 0);
        while chance.is(lost) {
            late += wait;
            tries += 1;
            if backoff == Backoff::Doubling || tries > LINEAR_RETRIES {
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
        self.last_arrival = self.last_arrival.max(now.plus(late));
        self.last_arrival
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Purpose;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn longest(backoff: Backoff) -> Duration {
        let mut chance = Chance::new(1, Purpose::Network);
        let times = (0..20_000).map(|_| Stream::default().arrival(NOW, &mut chance, 300, backoff));
        times.map(|at| at.saturating_since(NOW)).max().unwrap_or_default()
    }

    #[test]
    fn nothing_overtakes_what_was_sent_before_it() {
        let mut chance = Chance::new(1, Purpose::Network);
        let mut stream = Stream::default();
        let arrivals: Vec<_> = (0..1_000)
            .map(|ms| stream.arrival(NOW.plus(Duration::from_millis(ms)), &mut chance, 300, Backoff::Thin))
            .collect();
        assert!(arrivals.is_sorted());
        assert!(arrivals[999] >= NOW.plus(Duration::from_millis(1_000)));
    }

    #[test]
    fn a_clear_wire_is_not_late_and_a_thin_stream_is_less_late_than_another() {
        let mut chance = Chance::new(1, Purpose::Network);
        assert_eq!(Stream::default().arrival(NOW, &mut chance, 0, Backoff::Doubling), NOW);
        assert!(longest(Backoff::Thin) * 10 < longest(Backoff::Doubling));
    }
}
