//! What a copy of the state contained after each of its last changes.

use std::collections::VecDeque;

use kogge_store::Revision;

use crate::state_digest::StateDigest;

/// Changes remembered: more than a busy cloud makes between a server's look at its copy and the moment when the others
/// hear of it.
const LENGTH: usize = 4_096;

/// Digests by the revision since which they hold, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trail(VecDeque<(Revision, StateDigest)>);

impl Trail {
    /// From `revision` on it is `digest`.
    pub(crate) fn push(&mut self, revision: Revision, digest: StateDigest) {
        match self.0.back_mut() {
            Some((_, last)) if *last == digest => return,
            Some((newest, last)) if *newest == revision => {
                *last = digest;
                return;
            }
            _ => {}
        }
        if self.0.len() == LENGTH {
            self.0.pop_front();
        }
        self.0.push_back((revision, digest));
    }

    /// The newest, and since when it holds; none before anything is known.
    pub(crate) fn newest(&self) -> Option<(Revision, StateDigest)> {
        self.0.back().copied()
    }

    /// What it was at `revision`; none when that is too long ago.
    pub(crate) fn at(&self, revision: Revision) -> Option<StateDigest> {
        let later = self.0.partition_point(|(since, _)| *since <= revision);
        Some(self.0.get(later.checked_sub(1)?)?.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Image;

    fn digest(number: u64) -> StateDigest {
        let mut image = Image::default();
        image.apply(
            Revision::new(number),
            vec![kogge_store::Event::Put(crate::digests::tests::entry("a", number))],
        );
        image.digest()
    }

    #[test]
    fn g5_the_digest_at_a_revision_is_that_of_the_last_change_until_then() {
        let mut trail = Trail::default();
        for (at, one) in [(5, 1), (7, 2), (8, 2), (9, 3), (9, 4)] {
            trail.push(Revision::new(at), digest(one));
        }
        let found = [4, 5, 6, 7, 8, 9, 10].map(|at| trail.at(Revision::new(at)));
        let expected = [None, Some(1), Some(1), Some(2), Some(2), Some(4), Some(4)];
        assert_eq!(found, expected.map(|one: Option<u64>| one.map(digest)));
        assert_eq!(trail.newest(), Some((Revision::new(9), digest(4))));
    }

    #[test]
    fn g5_a_trail_is_bounded_and_concludes_nothing_of_what_it_forgot() {
        let mut trail = Trail::default();
        let length = u64::try_from(LENGTH).unwrap();
        (1..=length + 2).for_each(|at| trail.push(Revision::new(at), digest(at)));
        assert_eq!((trail.0.len(), trail.at(Revision::new(2))), (LENGTH, None));
        assert_eq!(trail.at(Revision::new(3)), Some(digest(3)));
    }
}
