//! Which of a service's backends gets the next request.

use std::cell::Cell;
use std::sync::Arc;

use crate::backend::Backend;

thread_local! {
    static TURN: Cell<usize> = const { Cell::new(0) };
}

/// The one with the fewest requests in flight; among equals the turn goes round. Backends that just refused a
/// connection come last but one, `tried` comes last.
pub(crate) fn choose<'a>(
    backends: &'a [Arc<Backend>],
    now_ms: u64,
    tried: Option<&Backend>,
) -> Option<&'a Arc<Backend>> {
    if let [only] = backends {
        return Some(only);
    }
    let turn = TURN.with(|turn| turn.replace(turn.get().wrapping_add(1)));
    let start = turn.checked_rem(backends.len())?;
    let (before, from_start) = backends.split_at(start);
    let rank = |backend: &&Arc<Backend>| {
        let is_tried = tried.is_some_and(|tried| std::ptr::eq(tried, Arc::as_ptr(backend)));
        (is_tried, backend.is_avoided(now_ms), backend.in_flight())
    };
    from_start.iter().chain(before).min_by_key(rank)
}

#[cfg(test)]
mod tests {
    use kogge_model::id::{AgentId, RunId, TaskId};

    use super::*;
    use crate::backend::Lease;
    use crate::pool::Pool;

    fn backends(count: u16) -> Vec<Arc<Backend>> {
        let one = |number: u16| {
            let of = kogge_discovery::Backend {
                instance: format!("shop.{number}").parse().unwrap(),
                task: TaskId::new(format!("t{number}")),
                run: RunId(u64::from(number)),
                agent: AgentId::new("a"),
                endpoint: ([127, 0, 0, 1], 1000 + number).into(),
            };
            Arc::new(Backend::new(&of, Arc::default(), Pool::new(1, 1)))
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn the_least_busy_backend_gets_the_request_and_equals_take_turns() {
        let backends = backends(3);
        let mut leases = Vec::new();
        for _ in 0..30 {
            leases.push(Lease::take(choose(&backends, 0, None).unwrap()).unwrap());
        }
        assert!(backends.iter().all(|backend| backend.in_flight() == 10));
        drop(leases);
        let chosen: std::collections::BTreeSet<RunId> =
            (0..3).map(|_| choose(&backends, 0, None).unwrap().run).collect();
        assert_eq!(chosen.len(), 3);
        assert!(choose(&[], 0, None).is_none());
    }

    #[test]
    fn refusing_and_tried_backends_are_the_last_choice_but_a_choice() {
        let backends = backends(2);
        let _busy = Lease::take(&backends[0]).unwrap();
        backends[1].avoid_until(100);
        assert_eq!(choose(&backends, 99, None).unwrap().run, RunId(0));
        assert_eq!(choose(&backends, 100, None).unwrap().run, RunId(1));
        assert_eq!(choose(&backends, 99, Some(&backends[0])).unwrap().run, RunId(1));
        assert_eq!(choose(&backends[..1], 99, Some(&backends[0])).unwrap().run, RunId(0));
    }

    #[test]
    fn a_retired_backend_gives_no_lease() {
        let backends = backends(1);
        let lease = Lease::take(&backends[0]).unwrap();
        backends[0].retire();
        assert!(Lease::take(&backends[0]).is_none());
        assert_eq!(backends[0].in_flight(), 1);
        drop(lease);
        assert_eq!(backends[0].in_flight(), 0);
    }
}
