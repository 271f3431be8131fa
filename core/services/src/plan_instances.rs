//! How many instances to create and which to stop: a puzzle of small numbers, the same in peace, while scaling and
//! while one version follows another.
//!
//! ```text
//!   wish 3, max total 4, min healthy 3           updated  outdated  leaving
//!   create as many as the total allows               1        3        0
//!   each new healthy one lets an old one go          1        2        1
//!   what has left makes room for the next            2        2        0     … until all are updated
//! ```
//!
//! An instance that has to leave its agent is replaced like an outdated one, but for one thing: it makes no room
//! for others elsewhere, so it goes first only if there is a place for its successor.
//!
//! No instance is stopped by this plan if healthy ones would fall below the minimum, and none is created beyond the
//! maximum (G11). It takes no hints about what has changed: any start leads to the same end (G13).

use std::cmp::Reverse;

/// The puzzle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Puzzle {
    /// How many are wished.
    pub(crate) wish: u32,
    /// Healthy ones never fall below this.
    pub(crate) min_healthy: u32,
    /// All together, those on their way out included, never exceed this.
    pub(crate) max_total: u32,
    /// What there is.
    pub(crate) members: Vec<Member>,
}

/// One instance in the puzzle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    pub(crate) standing: Standing,
    pub(crate) stay: Stay,
}

/// Whether it may stay where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stay {
    /// It has to move; there is a place for its successor once it has gone.
    MayGoFirst,
    /// It has to move; whether there is a place elsewhere shows when its successor has one.
    GoesAfter,
    /// It may.
    Stays,
}

impl Member {
    /// Whether another one has to take its place.
    fn is_old(&self) -> bool {
        self.kind == Kind::Outdated || self.stay != Stay::Stays
    }
}

/// Of which version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The wanted one.
    Updated,
    /// Another one.
    Outdated,
}

/// What it is worth. Those that are worth least go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// On its way out already; takes room, nothing else.
    Leaving,
    /// Has no task; the last offers had no room for it.
    Blocked,
    /// Has no task.
    Idle,
    /// Has a task that is not healthy.
    Up,
    /// Healthy.
    Healthy,
}

/// Why an instance is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopCause {
    /// There are more than wished.
    Surplus,
    /// A new one has taken its place.
    Replaced,
    /// A new one needs its room.
    MakesRoom,
    /// It had to leave its agent.
    Moved,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Plan {
    /// How many to create.
    pub(crate) create: u32,
    /// Which to stop, and why.
    pub(crate) stop: Vec<(u32, StopCause)>,
}

pub(crate) fn plan_instances(puzzle: &Puzzle) -> Plan {
    let updated = Group::of(puzzle, |member| !member.is_old());
    let old = Group::of(puzzle, Member::is_old);
    let mut stops = Stops::new(puzzle, updated.healthy + old.healthy);

    let surplus = updated.count.saturating_sub(puzzle.wish);
    stops.take(surplus, StopCause::Surplus, &updated);

    let still_needed = puzzle.wish.saturating_sub(updated.healthy);
    let replaced = old.count.saturating_sub(still_needed);
    let cause = if puzzle.wish == 0 { StopCause::Surplus } else { StopCause::Replaced };
    stops.take(replaced, cause, &old);

    let missing = puzzle.wish.saturating_sub(updated.count);
    let total = count(puzzle.members.len());
    let create = missing.min(puzzle.max_total.saturating_sub(total));
    // What waits in vain waits for room on the agents, what cannot be created waits for room under the maximum.
    // Whoever is leaving already makes some.
    let leaving = count(puzzle.members.iter().filter(|member| member.standing == Standing::Leaving).count());
    let waits_for_room = (missing - create) + updated.blocked.min(puzzle.wish);
    let to_free = waits_for_room.saturating_sub(leaving + count(stops.chosen.len()));
    let makes_room = Group::of(puzzle, |member| member.is_old() && member.stay != Stay::GoesAfter);
    stops.take(to_free, StopCause::MakesRoom, &makes_room);

    Plan { create, stop: stops.chosen }
}

/// The members of one kind that are not leaving, the least worth first.
struct Group {
    count: u32,
    healthy: u32,
    blocked: u32,
    ordered: Vec<Member>,
}

impl Group {
    fn of(puzzle: &Puzzle, is_of_it: impl Fn(&Member) -> bool) -> Self {
        let members = puzzle.members.iter().copied();
        let mut ordered: Vec<Member> =
            members.filter(|member| is_of_it(member) && member.standing != Standing::Leaving).collect();
        ordered.sort_by_key(|member| (member.standing, member.stay, Reverse(member.number)));
        let of = |standing| count(ordered.iter().filter(|member| member.standing == standing).count());
        let (healthy, blocked) = (of(Standing::Healthy), of(Standing::Blocked));
        Self { count: count(ordered.len()), healthy, blocked, ordered }
    }
}

/// The stops chosen so far.
struct Stops {
    chosen: Vec<(u32, StopCause)>,
    /// Healthy ones that may still be stopped.
    spare: u32,
}

impl Stops {
    fn new(puzzle: &Puzzle, healthy: u32) -> Self {
        Self { chosen: Vec::new(), spare: healthy.saturating_sub(puzzle.min_healthy) }
    }

    fn take(&mut self, mut wanted: u32, cause: StopCause, from: &Group) {
        for member in &from.ordered {
            let is_chosen = self.chosen.iter().any(|(number, _)| *number == member.number);
            if wanted == 0 || is_chosen {
                continue;
            }
            if member.standing == Standing::Healthy {
                let Some(left) = self.spare.checked_sub(1) else { continue };
                self.spare = left;
            }
            let has_moved = member.kind == Kind::Updated && member.is_old() && cause != StopCause::Surplus;
            self.chosen.push((member.number, if has_moved { StopCause::Moved } else { cause }));
            wanted -= 1;
        }
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `u` and `o` are kinds, `L B I U H` standings: `uH oI` is a healthy updated and an idle outdated one. `-` has to
    /// move, `!` has to and may go first.
    fn puzzle(wish: u32, min_healthy: u32, max_total: u32, members: &str) -> Puzzle {
        let members = members.split_whitespace().zip(1u32..).map(|(text, number)| {
            let kind = if text.starts_with('u') { Kind::Updated } else { Kind::Outdated };
            let standing = match &text[1..2] {
                "L" => Standing::Leaving,
                "B" => Standing::Blocked,
                "I" => Standing::Idle,
                "U" => Standing::Up,
                _ => Standing::Healthy,
            };
            let stay = match text.as_bytes().get(2) {
                Some(b'-') => Stay::GoesAfter,
                Some(_) => Stay::MayGoFirst,
                None => Stay::Stays,
            };
            Member { number, kind, standing, stay }
        });
        Puzzle { wish, min_healthy, max_total, members: members.collect() }
    }

    fn check(bounds: (u32, u32, u32), members: &str, expected: &str) {
        let plan = plan_instances(&puzzle(bounds.0, bounds.1, bounds.2, members));
        let stop: Vec<String> =
            plan.stop.iter().map(|(number, cause)| format!("{number} {cause:?}")).collect();
        assert_eq!(format!("+{} [{}]", plan.create, stop.join(", ")), expected, "{bounds:?} {members}");
    }

    #[test]
    fn the_table_of_cases() {
        let (plenty, tight) = ((3, 3, 6), (3, 2, 3));
        check(plenty, "", "+3 []");
        check(plenty, "uH uU uI", "+0 []");
        check(plenty, "uH uH uH uH uI", "+0 [5 Surplus, 4 Surplus]");
        check(plenty, "oH oH oH", "+3 []");
        check(plenty, "oH oH oH uH uU uU", "+0 [3 Replaced]");
        check(plenty, "oH oU oH uH uU uU", "+0 [2 Replaced]");
        check(plenty, "oL oH oH uH uU uU", "+0 []");
        check(plenty, "oH oH oH uB uB uB", "+0 []");
        check(tight, "oH oH oH", "+0 [3 MakesRoom]");
        check(tight, "oH oH oL", "+0 []");
        check(tight, "oI oH oH", "+0 [1 MakesRoom]");
        check(tight, "oH oH uU", "+0 []");
        check(tight, "oH oH uH", "+0 [2 MakesRoom]");
        check((3, 2, 6), "oH oH oH uB uB uB", "+0 [3 MakesRoom]");
        check((3, 0, 3), "oH oH oH", "+0 [3 MakesRoom, 2 MakesRoom, 1 MakesRoom]");
        check((0, 0, 0), "uH oU uL", "+0 [1 Surplus, 2 Surplus]");
        check((2, 2, 4), "oH oH oH oH oH uH", "+0 [5 Replaced, 4 Replaced, 3 Replaced, 2 Replaced]");
        check((5, 5, 10), "oH oH uU", "+4 []");
        // One has to move: another comes first, and goes first only if it has a place and bounds ask for it.
        check(plenty, "uH uH uH-", "+1 []");
        check(plenty, "uH uH uH- uU", "+0 []");
        check(plenty, "uH uH uH- uH", "+0 [3 Moved]");
        check(plenty, "uH uH uH- uB", "+0 []");
        check(plenty, "uH uH uH uB", "+0 [4 Surplus]");
        check(tight, "uH uH uH-", "+0 []");
        check(tight, "uH uH uH!", "+0 [3 Moved]");
        check(tight, "uH uU uH!", "+0 []");
        check((3, 2, 6), "uH uH uH! uB", "+0 [3 Moved]");
        check(tight, "oH oH oH-", "+0 [2 MakesRoom]");
        check((2, 2, 4), "uH- uH- uU uU", "+0 []");
        check((0, 0, 0), "uH-", "+0 [1 Surplus]");
    }

    fn member() -> impl Strategy<Value = (Kind, Standing, Stay)> {
        let kind = prop_oneof![Just(Kind::Updated), Just(Kind::Outdated)];
        let standing = prop_oneof![
            1 => Just(Standing::Leaving),
            1 => Just(Standing::Blocked),
            1 => Just(Standing::Idle),
            1 => Just(Standing::Up),
            3 => Just(Standing::Healthy),
        ];
        let stay =
            prop_oneof![3 => Just(Stay::Stays), 1 => Just(Stay::MayGoFirst), 1 => Just(Stay::GoesAfter)];
        // Whatever has no task stands nowhere that it could have to leave.
        (kind, standing, stay).prop_map(|(kind, standing, stay)| match standing {
            Standing::Up | Standing::Healthy => (kind, standing, stay),
            Standing::Leaving | Standing::Blocked | Standing::Idle => (kind, standing, Stay::Stays),
        })
    }

    proptest! {
        #[test]
        fn bounds_hold_and_something_always_happens_until_all_is_done(
            (wish, percent, surge) in (0u32..7, 0u32..=100, 0u32..=100),
            members in proptest::collection::vec(member(), 0..12),
        ) {
            let policy = kogge_model::service::UpgradePolicy {
                min_healthy_percent: percent, max_surge_percent: surge, ..Default::default()
            };
            let members = members.into_iter().zip(1u32..);
            let mut puzzle = Puzzle {
                wish,
                min_healthy: policy.min_healthy(wish),
                max_total: policy.max_total(wish),
                members: members.map(|((kind, standing, stay), number)| Member { number, kind, standing, stay }).collect(),
            };
            for _ in 0..100 {
                let healthy = |p: &Puzzle| count(p.members.iter().filter(|m| m.standing == Standing::Healthy).count());
                let before = puzzle.clone();
                let plan = plan_instances(&puzzle);
                let total = count(puzzle.members.len()) + plan.create;
                prop_assert!(plan.create == 0 || total <= puzzle.max_total);
                puzzle.members.retain_mut(|member| {
                    let is_stopped = plan.stop.iter().any(|(number, _)| *number == member.number);
                    if is_stopped { member.standing = Standing::Leaving; }
                    true
                });
                let kept = healthy(&puzzle);
                prop_assert!(kept == healthy(&before) || kept >= puzzle.min_healthy);
                // The world answers: who leaves is gone, who is up gets healthy, who was created is up.
                puzzle.members.retain(|member| member.standing != Standing::Leaving);
                for member in &mut puzzle.members {
                    member.standing = Standing::Healthy;
                    // A place is found in the end.
                    member.stay = if member.stay == Stay::Stays { Stay::Stays } else { Stay::MayGoFirst };
                }
                for _ in 0..plan.create {
                    let number = puzzle.members.iter().map(|m| m.number).max().unwrap_or(0) + 1;
                    let (kind, standing) = (Kind::Updated, Standing::Up);
                    puzzle.members.push(Member { number, kind, standing, stay: Stay::Stays });
                }
                if puzzle == before {
                    break;
                }
            }
            prop_assert_eq!(count(puzzle.members.len()), wish);
            prop_assert!(puzzle.members.iter().all(|m| m.kind == Kind::Updated && m.stay == Stay::Stays));
        }
    }
}
