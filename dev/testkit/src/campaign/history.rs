//! Whether what clients of one register have seen can be true: a checker of linearizability.
//!
//! Every write tells the value that it replaced, and no value is written twice. So a write that is lost, done twice or
//! moved in time leaves a break in the chain of values that no order of the operations explains.
//!
//! The search is that of Wing and Gong, with the memory of Lowe (<https://doi.org/10.1002/cpe.3928>).

use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Places that are looked at before a history is given up. One that can be explained needs about one for each operation.
const MAX_PLACES: usize = 1_000_000;

/// Something that a client did with the register. Times are nanoseconds of one clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// When it was asked for.
    pub called: u64,
    /// When the answer was there; none when the outcome is not known: it may have happened at any time since, or never.
    pub returned: Option<u64>,
    /// What was done.
    pub did: Did,
}

/// What a client did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Did {
    /// Wrote a value that nobody else writes.
    Write {
        /// The value.
        value: u64,
        /// What the answer tells, if there was one.
        receipt: Option<Receipt>,
    },
    /// Read a value.
    Read {
        /// The value.
        value: u64,
    },
}

/// What the answer to a write tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The value that was replaced.
    pub before: u64,
    /// The number of the write among all.
    pub revision: u64,
}

/// Looks for an order of the operations that explains everything that was seen, from `initial` on.
///
/// # Errors
/// Why there is none.
pub fn check(initial: u64, history: &[Operation]) -> Result<(), String> {
    check_values(initial, history)?;
    check_revisions(history)?;
    search(initial, &retained(history))
}

impl Operation {
    fn written(&self) -> Option<u64> {
        if let Did::Write { value, .. } = self.did { Some(value) } else { None }
    }

    fn seen(&self) -> Option<u64> {
        match self.did {
            Did::Write { receipt, .. } => receipt.map(|receipt| receipt.before),
            Did::Read { value } => Some(value),
        }
    }

    /// The value after it, if it can be next when the value is `now`.
    fn after(&self, now: u64) -> Option<u64> {
        let can_be = self.seen().is_none_or(|seen| seen == now);
        can_be.then(|| self.written().unwrap_or(now))
    }

    fn end(&self) -> u64 {
        self.returned.unwrap_or(u64::MAX)
    }
}

fn check_values(initial: u64, history: &[Operation]) -> Result<(), String> {
    let mut written = BTreeSet::from([initial]);
    for value in history.iter().filter_map(Operation::written) {
        if !written.insert(value) {
            return Err(format!("the history itself is wrong: {value} is written twice"));
        }
    }
    let stranger = history.iter().filter_map(Operation::seen).find(|value| !written.contains(value));
    stranger.map_or(Ok(()), |value| Err(format!("{value} was seen, but every write of it was refused")))
}

/// Numbers of writes are in the order of time, as far as time tells one.
fn check_revisions(history: &[Operation]) -> Result<(), String> {
    let mut by_revision = BTreeMap::new();
    for write in history {
        let Did::Write { value, receipt: Some(receipt) } = write.did else { continue };
        if let Some((other, _)) = by_revision.insert(receipt.revision, (value, write)) {
            return Err(format!("{other} and {value} were both written as revision {}", receipt.revision));
        }
    }
    // Whoever was called last among those of lower revision must not have been called after this one's answer.
    let mut latest: Option<(u64, u64)> = None;
    for (value, write) in by_revision.values() {
        if let Some((called, other)) = latest
            && called > write.end()
        {
            return Err(format!(
                "{value} was acknowledged before {other} was asked for, but counts as later"
            ));
        }
        latest = latest.max(Some((write.called, *value)));
    }
    Ok(())
}

/// Without writes of unknown outcome that nobody has seen: whether they happened explains nothing. In order of calls.
fn retained(history: &[Operation]) -> Vec<Operation> {
    let seen: BTreeSet<u64> = history.iter().filter_map(Operation::seen).collect();
    let mut retained: Vec<Operation> = history.to_vec();
    retained.retain(|one| one.returned.is_some() || one.written().is_some_and(|value| seen.contains(&value)));
    retained.sort_by_key(|one| (one.called, one.end()));
    retained
}

/// Some operations have happened, in an order that leaves this value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    /// All before this one.
    first: usize,
    /// And these.
    beyond: BTreeSet<usize>,
    value: u64,
}

impl Place {
    fn with(&self, at: usize, value: u64) -> Self {
        let mut next = Self { value, ..self.clone() };
        next.beyond.insert(at);
        while next.beyond.remove(&next.first) {
            next.first += 1;
        }
        next
    }

    fn has(&self, at: usize) -> bool {
        at < self.first || self.beyond.contains(&at)
    }

    fn count(&self) -> usize {
        self.first + self.beyond.len()
    }

    /// Those that may be next: none of the others had its answer before they were asked for. And the time before which
    /// each of them was asked for.
    fn candidates(&self, history: &[Operation]) -> (Vec<usize>, u64) {
        let (mut found, mut deadline) = (Vec::new(), u64::MAX);
        for (at, one) in history.iter().enumerate().skip(self.first) {
            if one.called > deadline {
                break;
            }
            if !self.beyond.contains(&at) {
                deadline = deadline.min(one.end());
                found.push(at);
            }
        }
        found.retain(|at| history[*at].called <= deadline);
        (found, deadline)
    }
}

/// Who saw which value. None comes back: whoever saw it did so between the write of it and the next one.
struct Witnesses(BTreeMap<u64, Vec<usize>>);

impl Witnesses {
    fn of(history: &[Operation]) -> Self {
        let mut by_value: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (at, one) in history.iter().enumerate() {
            if let Some(value) = one.seen() {
                by_value.entry(value).or_default().push(at);
            }
        }
        Self(by_value)
    }

    /// Those who saw the value, without `but` and those who are past.
    fn ahead(&self, value: u64, place: &Place, but: usize) -> impl Iterator<Item = usize> {
        let all = self.0.get(&value).into_iter().flatten().copied();
        all.filter(move |at| *at != but && !place.has(*at))
    }

    /// Where one operation leads, when only those that were asked for by `deadline` can be next; nowhere when it cannot
    /// be one of them.
    fn step(&self, history: &[Operation], place: &Place, at: usize, deadline: u64) -> Option<Place> {
        let one = &history[at];
        let value = one.after(place.value)?;
        if value != place.value && self.ahead(place.value, place, at).next().is_some() {
            return None;
        }
        // Of a write without an answer, somebody else knows; who does must be able to be next. It leaves the deadline.
        let is_witnessed = || self.ahead(value, place, at).any(|witness| history[witness].called <= deadline);
        (one.returned.is_some() || is_witnessed()).then(|| place.with(at, value))
    }
}

fn search(initial: u64, history: &[Operation]) -> Result<(), String> {
    let witnesses = Witnesses::of(history);
    let start = Place { first: 0, beyond: BTreeSet::new(), value: initial };
    let (mut open, mut known) = (vec![start.clone()], HashSet::new());
    let mut furthest = start;
    while let Some(place) = open.pop() {
        if place.first == history.len() {
            return Ok(());
        }
        let (candidates, deadline) = place.candidates(history);
        for at in candidates.into_iter().rev() {
            let Some(next) = witnesses.step(history, &place, at, deadline) else { continue };
            if known.insert(next.clone()) {
                open.push(next);
            }
        }
        if known.len() > MAX_PLACES {
            return Err(format!("{MAX_PLACES} ways to explain the history were tried, and it is not over"));
        }
        if place.count() > furthest.count() {
            furthest = place;
        }
    }
    let stuck: Vec<String> =
        furthest.candidates(history).0.into_iter().map(|at| format!("{:?}", history[at].did)).collect();
    Err(format!(
        "no order explains the history: {} of {} operations fit, then the value is {}, and none of these can be next: {}",
        furthest.count(),
        history.len(),
        furthest.value,
        stuck.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(called: u64, returned: u64, before: u64, value: u64) -> Operation {
        // In these stories, writes count in the order of their values.
        let receipt = Some(Receipt { before, revision: value });
        Operation { called, returned: Some(returned), did: Did::Write { value, receipt } }
    }

    fn unknown(called: u64, value: u64) -> Operation {
        Operation { called, returned: None, did: Did::Write { value, receipt: None } }
    }

    fn read(called: u64, returned: u64, value: u64) -> Operation {
        Operation { called, returned: Some(returned), did: Did::Read { value } }
    }

    fn refused(history: &[Operation], part: &str) {
        let why = check(0, history).expect_err("this cannot be");
        assert!(why.contains(part), "{why}");
    }

    #[test]
    fn writes_one_after_the_other_and_at_once_are_explained() {
        check(0, &[]).unwrap();
        check(0, &[write(0, 1, 0, 1), read(2, 3, 1), write(4, 5, 1, 2), read(6, 7, 2)]).unwrap();
        // The answer to the second is there first.
        check(0, &[write(0, 9, 0, 1), write(1, 3, 1, 2), read(2, 8, 1), read(4, 9, 2)]).unwrap();
    }

    #[test]
    fn a_write_of_unknown_outcome_may_happen_late_or_never() {
        check(0, &[unknown(0, 1), write(1, 2, 0, 2), read(3, 4, 2)]).unwrap();
        check(0, &[unknown(0, 1), write(1, 2, 0, 2), read(3, 4, 2), read(5, 6, 1)]).unwrap();
        check(0, &[unknown(0, 1), write(1, 2, 0, 2), write(3, 4, 1, 3)]).unwrap();
        refused(&[read(0, 1, 1), unknown(2, 1)], "no order");
        refused(&[unknown(0, 1), read(1, 2, 1), write(3, 4, 1, 2), read(5, 6, 1)], "no order");
    }

    #[test]
    fn a_lost_write_is_found() {
        refused(&[write(0, 1, 0, 1), write(2, 3, 0, 2)], "no order");
        refused(&[write(0, 1, 0, 1), read(2, 3, 0)], "no order");
    }

    #[test]
    fn a_write_that_was_done_twice_is_found() {
        refused(&[write(0, 9, 0, 1), write(1, 2, 1, 2), write(3, 4, 1, 3)], "no order");
    }

    #[test]
    fn writes_out_of_order_are_found() {
        refused(&[write(0, 1, 2, 3), write(2, 3, 0, 2)], "counts as later");
        let late = Operation {
            called: 2,
            returned: Some(3),
            did: Did::Write { value: 5, receipt: Some(Receipt { before: 0, revision: 9 }) },
        };
        refused(&[write(0, 1, 5, 8), late], "no order");
    }

    #[test]
    fn a_value_of_the_past_is_found() {
        refused(&[write(0, 1, 0, 1), write(2, 3, 1, 2), read(4, 5, 1)], "no order");
    }

    #[test]
    fn a_refused_write_that_happened_is_found() {
        refused(&[write(0, 1, 7, 1)], "every write of it was refused");
        refused(&[read(0, 1, 7)], "every write of it was refused");
    }

    #[test]
    fn two_writes_of_one_revision_are_found() {
        let twin = |value, before| Operation {
            called: 0,
            returned: Some(9),
            did: Did::Write { value, receipt: Some(Receipt { before, revision: 4 }) },
        };
        refused(&[twin(1, 0), twin(2, 1)], "both written as revision 4");
    }

    #[test]
    fn many_writes_at_once_are_explained_quickly() {
        // Each of 500 rounds: three writers at once, one of them with an outcome that is never known.
        let mut history = Vec::new();
        for round in 0..500 {
            let (time, value) = (round * 10, round * 3);
            history.push(unknown(time, value + 1));
            history.push(write(time + 1, time + 9, value + 1, value + 2));
            history.push(write(time + 1, time + 8, value + 2, value + 3));
        }
        check(0, &history).unwrap();
        history.push(read(9000, 9001, 3));
        refused(&history, "no order");
    }
    /// Each answer came too late: the clients know of their writes only from each other.
    #[test]
    fn many_writes_that_nobody_was_answered_are_explained_quickly() {
        let mut history: Vec<Operation> = (1..=400).map(|value| unknown(0, value)).collect();
        history.extend((1..=400).map(|value| read(value * 10, value * 10 + 1, 401 - value)));
        check(0, &history).unwrap();
        history.push(read(9000, 9001, 7));
        refused(&history, "no order");
    }
}
