//! How much of what agents say is taken into one round.
//!
//! What counts is what follows from the words: a sign of life, or a repeat of what is known, decides nothing and saves
//! nothing, and many agents say more of that in a second than there are rounds for. When much waits, rounds are larger:
//! planning and saving cost less for each word then.

/// What may follow from the words of a round when nobody waits behind it: bounds the time until the first is answered.
const LEAST_WORK: usize = 256;
/// And however many wait.
const MOST_WORK: usize = 4_096;
/// Words of one round, those included from which nothing follows.
const MOST_WORDS: usize = 16_384;

/// What finds room in one round.
#[derive(Debug)]
pub(crate) struct Intake {
    words: usize,
    work: usize,
    /// What the round had to do before the first word.
    before: usize,
}

impl Intake {
    /// For a round that begins while `waiting` words wait. What else it has to do, `before` the first of them, takes no
    /// room from agents: they must be heard however much people want.
    pub(crate) fn new(waiting: usize, before: usize) -> Self {
        Self { words: MOST_WORDS, work: (waiting / 2).clamp(LEAST_WORK, MOST_WORK), before }
    }

    /// How much work this round has room for.
    pub(crate) const fn work(&self) -> usize {
        self.work
    }

    /// Takes one word, unless this round has enough: `work` things to save or to talk about are in it already, those
    /// from before included.
    pub(crate) const fn takes(&mut self, work: usize) -> bool {
        let has_room = self.words > 0 && work.saturating_sub(self.before) < self.work;
        if has_room {
            self.words -= 1;
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_from_which_nothing_follows_leave_room_for_others_but_are_bounded_too() {
        let mut intake = Intake::new(10, 0);
        let taken = std::iter::repeat_with(|| intake.takes(0)).take_while(|is_taken| *is_taken).count();
        assert_eq!(taken, MOST_WORDS);
    }

    #[test]
    fn large_requests_take_no_room_from_agents() {
        let mut intake = Intake::new(10, 100_000);
        let taken = (100_000..).take_while(|work| intake.takes(*work)).count();
        assert_eq!(taken, LEAST_WORK);
    }

    #[test]
    fn rounds_grow_with_what_waits_within_bounds() {
        let room = |waiting| {
            let mut intake = Intake::new(waiting, 0);
            (0..).take_while(|work| intake.takes(*work)).count()
        };
        assert_eq!([0, 512, 2_000, 100_000].map(room), [LEAST_WORK, LEAST_WORK, 1_000, MOST_WORK]);
    }
}
