//! Which server to try next, and after what pause. Never two rounds without a pause.

use crate::address::ServerAddress;

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The server cannot be reached.
    Unreachable,
    /// It can be, and has no time.
    Busy,
    /// It does not lead; who does, if it knows.
    Redirected(Option<ServerAddress>),
    /// It does not want this agent.
    Refused,
    /// A session stood and has ended; who leads now, if that was told.
    Lost(Option<ServerAddress>),
    /// A session broke soon after it stood.
    Faltered,
    /// All is well, but the certificate is a new one.
    Renewed,
}

/// What to wait for before the next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    None,
    /// Long enough to spread many agents.
    Reconnect,
    /// Longer each time, counted from 1: so many come that servers have no time for all of them.
    Crowd(u32),
    /// Long enough for a person to do something.
    Refused,
}

/// The servers, and where we are among them.
#[derive(Debug)]
pub(super) struct Route {
    /// Those the agent was started with: never given up, in case a server tells a list that leads nowhere.
    seeds: Vec<ServerAddress>,
    servers: Vec<ServerAddress>,
    /// The one being tried.
    current: ServerAddress,
    /// Tries since the last pause.
    tries: usize,
    /// One of them met a server that had no time.
    is_crowded: bool,
    /// Pauses in a row that were taken for that.
    crowds: u32,
}

impl Route {
    /// Begins anywhere: with the one at `start` in the list, which must not be empty.
    pub(super) fn new(servers: Vec<ServerAddress>, start: usize) -> Self {
        let current = servers[start % servers.len()].clone();
        Self { seeds: servers.clone(), servers, current, tries: 1, is_crowded: false, crowds: 0 }
    }

    pub(super) const fn current(&self) -> &ServerAddress {
        &self.current
    }

    /// Takes a new list, and puts it before the one the agent was started with.
    pub(super) fn learn(&mut self, servers: &[ServerAddress]) {
        self.servers = servers.to_vec();
        self.servers.extend(self.seeds.iter().filter(|seed| !servers.contains(seed)).cloned());
    }

    /// Chooses the next server.
    pub(super) fn after(&mut self, verdict: Verdict) -> Pause {
        self.is_crowded |= matches!(verdict, Verdict::Busy | Verdict::Faltered);
        let pause = self.pause(&verdict);
        self.current = match verdict {
            Verdict::Renewed => self.current.clone(),
            Verdict::Redirected(Some(leader)) | Verdict::Lost(Some(leader)) => leader,
            // Who fell silent may stand still, and let a handshake wait for seconds. The others answer at once, and know
            // when it leads again.
            Verdict::Lost(None)
            | Verdict::Faltered
            | Verdict::Unreachable
            | Verdict::Busy
            | Verdict::Redirected(None)
            | Verdict::Refused => self.next(),
        };
        if pause == Pause::None {
            self.tries += 1;
        } else {
            (self.tries, self.is_crowded) = (1, false);
        }
        pause
    }

    fn pause(&mut self, verdict: &Verdict) -> Pause {
        // A redirect takes one try more than there are servers.
        let is_round_over = self.tries > self.servers.len();
        let is_pause_due = match verdict {
            Verdict::Renewed => false,
            Verdict::Refused => return Pause::Refused,
            Verdict::Lost(_) | Verdict::Faltered | Verdict::Redirected(None) => true,
            Verdict::Unreachable | Verdict::Busy | Verdict::Redirected(Some(_)) => is_round_over,
        };
        if !is_pause_due {
            return Pause::None;
        }
        self.crowds = if self.is_crowded { self.crowds.saturating_add(1) } else { 0 };
        if self.crowds > 0 { Pause::Crowd(self.crowds) } else { Pause::Reconnect }
    }

    fn next(&self) -> ServerAddress {
        let at = self.servers.iter().position(|server| *server == self.current);
        self.servers[at.map_or(0, |at| at + 1) % self.servers.len()].clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str) -> ServerAddress {
        name.parse().unwrap()
    }

    fn route() -> Route {
        Route::new(vec![server("a"), server("b"), server("c")], 4)
    }

    #[test]
    fn all_servers_are_tried_before_there_is_a_pause() {
        let mut route = route();
        let mut seen = vec![route.current().host().to_owned()];
        let mut pauses = Vec::new();
        for _ in 0..8 {
            pauses.push(route.after(Verdict::Unreachable));
            seen.push(route.current().host().to_owned());
        }
        assert_eq!(seen, ["b", "c", "a", "b", "c", "a", "b", "c", "a"]);
        let waits: Vec<usize> = (0..8).filter(|at| pauses[*at] == Pause::Reconnect).collect();
        assert_eq!(waits, [3, 7]);
    }

    #[test]
    fn pauses_grow_while_servers_have_no_time_and_not_when_they_are_gone() {
        let mut route = route();
        let mut pauses = |verdicts: &[Verdict]| -> Vec<Pause> {
            let pauses = verdicts.iter().map(|verdict| route.after(verdict.clone()));
            pauses.filter(|pause| *pause != Pause::None).collect()
        };
        let busy = [Verdict::Unreachable, Verdict::Busy, Verdict::Unreachable, Verdict::Unreachable];
        assert_eq!(pauses(&busy), [Pause::Crowd(1)]);
        assert_eq!(pauses(&busy), [Pause::Crowd(2)]);
        assert_eq!(pauses(&[Verdict::Faltered]), [Pause::Crowd(3)], "a session that stood only for a moment");
        let gone = [const { Verdict::Unreachable }; 4];
        assert_eq!(pauses(&gone), [Pause::Reconnect]);
        assert_eq!(pauses(&[Verdict::Lost(None)]), [Pause::Reconnect]);
        assert_eq!(pauses(&busy), [Pause::Crowd(1)]);
    }

    #[test]
    fn a_redirect_is_followed_at_once_but_two_that_name_each_other_do_not_spin() {
        let mut route = route();
        assert_eq!(route.after(Verdict::Redirected(Some(server("x")))), Pause::None);
        assert_eq!(route.current(), &server("x"));
        let mut pauses = 0;
        for at in 0..40 {
            let other = if at % 2 == 0 { "y" } else { "x" };
            pauses += usize::from(route.after(Verdict::Redirected(Some(server(other)))) == Pause::Reconnect);
        }
        assert_eq!(pauses, 10);
    }

    #[test]
    fn after_a_session_the_named_leader_comes_first_else_another_server() {
        let mut route = route();
        assert_eq!(route.after(Verdict::Lost(None)), Pause::Reconnect);
        assert_eq!(route.current(), &server("c"));
        assert_eq!(route.after(Verdict::Faltered), Pause::Crowd(1));
        assert_eq!(route.current(), &server("a"));
        assert_eq!(route.after(Verdict::Lost(Some(server("c")))), Pause::Reconnect);
        assert_eq!(route.after(Verdict::Renewed), Pause::None);
        assert_eq!(route.current(), &server("c"));
        assert_eq!(route.after(Verdict::Refused), Pause::Refused);
        assert_eq!(route.current(), &server("a"));
    }

    #[test]
    fn a_new_list_comes_before_the_first_one_which_is_never_given_up() {
        let mut route = route();
        route.learn(&[server("d"), server("b")]);
        let mut seen = Vec::new();
        for _ in 0..4 {
            route.after(Verdict::Unreachable);
            seen.push(route.current().host().to_owned());
        }
        assert_eq!(seen, ["a", "c", "d", "b"]);
        route.learn(&[]);
        route.after(Verdict::Unreachable);
        assert_eq!(route.current(), &server("c"));
    }
}
