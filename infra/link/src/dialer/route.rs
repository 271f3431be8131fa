//! Which server to try next, and after what pause. Never two rounds without a pause.

use crate::address::ServerAddress;

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The server cannot be reached.
    Unreachable,
    /// It does not lead; who does, if it knows.
    Redirected(Option<ServerAddress>),
    /// It does not want this agent.
    Refused,
    /// A session stood and has ended; who leads now, if that was told.
    Lost(Option<ServerAddress>),
    /// All is well, but the certificate is a new one.
    Renewed,
}

/// What to wait for before the next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    None,
    /// Long enough to spread many agents.
    Reconnect,
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
}

impl Route {
    /// Begins anywhere: with the one at `start` in the list, which must not be empty.
    pub(super) fn new(servers: Vec<ServerAddress>, start: usize) -> Self {
        let current = servers[start % servers.len()].clone();
        Self { seeds: servers.clone(), servers, current, tries: 1 }
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
        let pause = match &verdict {
            Verdict::Renewed => Pause::None,
            Verdict::Refused => Pause::Refused,
            Verdict::Lost(_) | Verdict::Redirected(None) => Pause::Reconnect,
            // A redirect takes one try more than there are servers.
            Verdict::Unreachable | Verdict::Redirected(Some(_)) if self.tries > self.servers.len() => {
                Pause::Reconnect
            }
            Verdict::Unreachable | Verdict::Redirected(Some(_)) => Pause::None,
        };
        self.current = match verdict {
            Verdict::Renewed => self.current.clone(),
            Verdict::Redirected(Some(leader)) | Verdict::Lost(Some(leader)) => leader,
            // The same again: a server that restarts is back before another one leads.
            Verdict::Lost(None) => self.current.clone(),
            Verdict::Unreachable | Verdict::Redirected(None) | Verdict::Refused => self.next(),
        };
        self.tries = if pause == Pause::None { self.tries + 1 } else { 1 };
        pause
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
    fn after_a_session_the_named_leader_comes_first_else_the_same_server() {
        let mut route = route();
        assert_eq!(route.after(Verdict::Lost(None)), Pause::Reconnect);
        assert_eq!(route.current(), &server("b"));
        assert_eq!(route.after(Verdict::Lost(Some(server("c")))), Pause::Reconnect);
        assert_eq!(route.current(), &server("c"));
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
