//! Runs that are over, so that a late word about one cannot bring it back (G19).

use std::collections::BTreeSet;

use kogge_model::id::RunId;

/// How many ended runs are remembered one by one.
const REMEMBERED: usize = 16_384;

/// The set of ended runs, in bounded memory.
///
/// Run ids only grow, so the oldest ones can be folded into a floor: everything at or below it counts as ended.
/// That is wrong only for a run first heard of after some sixteen thousand younger ones have ended, and errs on
/// the side of not routing to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct EndedRuns {
    floor: Option<RunId>,
    above_floor: BTreeSet<RunId>,
}

impl EndedRuns {
    pub(crate) fn insert(&mut self, run: RunId) {
        if self.contains(run) {
            return;
        }
        self.above_floor.insert(run);
        while self.above_floor.len() > REMEMBERED {
            self.floor = self.above_floor.pop_first();
        }
    }

    pub(crate) fn contains(&self, run: RunId) -> bool {
        self.floor.is_some_and(|floor| run <= floor) || self.above_floor.contains(&run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_nothing_ended_is_forgotten() {
        let mut ended = EndedRuns::default();
        let all = u64::try_from(REMEMBERED * 2).unwrap();
        (1..=all).for_each(|run| ended.insert(RunId(run)));
        assert_eq!(ended.above_floor.len(), REMEMBERED);
        assert!((1..=all).all(|run| ended.contains(RunId(run))));
        assert!(!ended.contains(RunId(all + 1)));
    }
}
