//! Sockets of agents, routers and clients are open files: a service manager allows a thousand unless told otherwise.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Allows this process as many open files as it may have. Tasks have limits of their own.
pub fn allow_most() {
    let own = getrlimit(Resource::Nofile);
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
        assert_eq!(getrlimit(Resource::Nofile), Rlimit { current: own.maximum, maximum: own.maximum });
    }
}
