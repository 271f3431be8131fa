//! A clock that only goes forward, made from one that may jump.

use std::time::Duration;

use kogge_model::time::Timestamp;

/// Turns the caller's wall clock into a steady one: a step back is taken as no time passed.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    wall: Timestamp,
    ahead: Duration,
    /// What was told of a clock that never jumps.
    steady: Option<Duration>,
}

impl Clock {
    pub(crate) const fn new(wall: Timestamp) -> Self {
        Self { wall, ahead: Duration::ZERO, steady: None }
    }

    /// Takes in what the wall clock says now.
    pub(crate) fn observe(&mut self, wall: Timestamp) {
        self.ahead += self.wall.saturating_since(wall);
        self.wall = wall;
    }

    /// The time for people and records.
    pub(crate) const fn wall(&self) -> Timestamp {
        self.wall
    }

    /// The time for deadlines.
    pub(crate) fn now(&self) -> Timestamp {
        self.wall.plus(self.ahead)
    }

    /// Takes in what a clock says that never jumps, whatever it counts from.
    pub(crate) const fn observe_steady(&mut self, steady: Duration) {
        self.steady = Some(steady);
    }

    /// The time for what must not be early though the wall clock jumps forward.
    pub(crate) fn steady(&self) -> Timestamp {
        self.steady.map_or_else(|| self.now(), |steady| Timestamp::ZERO.plus(steady))
    }

    /// The time for deadlines when the wall clock showed `wall`, if it has not jumped since.
    pub(crate) fn when(&self, wall: Timestamp) -> Timestamp {
        wall.plus(self.ahead)
    }

    /// When the wall clock will show the deadline `at`, if it does not jump again.
    pub(crate) fn on_the_wall(&self, at: Timestamp) -> Timestamp {
        at.minus(self.ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_back_stops_no_deadline() {
        let mut clock = Clock::new(Timestamp::from_secs(100));
        clock.observe(Timestamp::from_secs(110));
        let deadline = clock.now().plus(Duration::from_secs(5));
        clock.observe(Timestamp::from_secs(50));
        assert_eq!(clock.now(), Timestamp::from_secs(110));
        assert_eq!(clock.on_the_wall(deadline), Timestamp::from_secs(55));
        clock.observe(Timestamp::from_secs(55));
        assert_eq!(clock.now(), deadline);
    }
}
