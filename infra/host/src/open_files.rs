//! Sockets of agents, routers and clients are open files: a service manager allows a thousand unless told otherwise.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough for the agents of a large cloud, their routers and its people.
const PLENTY: u64 = 131_072;

/// Allows this process as many open files as it may have, and plenty if it may say so itself. Tasks have limits of
/// their own.
pub fn allow_most() {
    let own = getrlimit(Resource::Nofile);
    let raised = own.maximum.map(|maximum| maximum.max(PLENTY));
    // Only root can, and not everywhere.
    if setrlimit(Resource::Nofile, Rlimit { current: raised, maximum: raised }).is_ok() {
        return;
    }
    let most = Rlimit { current: own.maximum, maximum: own.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_was_allowed_few_open_files_allows_itself_as_many_as_it_may_have() {
        let own = getrlimit(Resource::Nofile);
        let few =
            Rlimit { current: own.maximum.map(|most| most.min(512)).or(Some(512)), maximum: own.maximum };
        setrlimit(Resource::Nofile, few).unwrap();
        allow_most();
        let now = getrlimit(Resource::Nofile);
        let plenty = own.maximum.map(|maximum| maximum.max(PLENTY));
        assert_eq!(now.current, now.maximum);
        assert!(now.maximum == own.maximum || now.maximum == plenty, "{now:?}");
    }
}
