//! The name of a server, which one process bears at a time: others find it by that, and two of one name would each take
//! the other for itself.

use std::error::Error;
use std::time::Duration;

use kogge_store::{Commit, CommitError, Consistency, Guard, LeaseId, Store};

use crate::keys;
use crate::load::parse;
use crate::servers::LEASE;
use crate::standing::ServerRecord;

/// For a record of this server's name to go that is another one's: it has ended, or lives. Longer than its lease.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(250);

/// The other server that bears the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bearer(pub(crate) Box<ServerRecord>);

/// Takes the name of `own`, for as long as the lease lasts. A record with the same doors is of an earlier life of this
/// very server; another one has as long to go as `patience` lasts. An engine that does not answer is told of by what
/// follows.
///
/// # Errors
/// The other server of that name, which lives.
pub(crate) async fn claim(store: &dyn Store, own: &ServerRecord, patience: Duration) -> Result<(), Bearer> {
    let until = tokio::time::Instant::now() + patience;
    let mut is_told = false;
    loop {
        let Ok(Err(other)) = take(store, own).await else { return Ok(()) };
        if tokio::time::Instant::now() >= until {
            return Err(other);
        }
        if !std::mem::replace(&mut is_told, true) {
            let (name, other) = (&own.name, other.0.place());
            tracing::info!(name, other, "waits until another server of this name is gone");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Writes the record of `own` under its name, unless that is another server's, and returns the lease it lives on. Of two
/// that come at the same moment one finds the other.
pub(crate) async fn take(
    store: &dyn Store,
    own: &ServerRecord,
) -> Result<Result<LeaseId, Bearer>, Box<dyn Error + Send + Sync>> {
    let key = keys::under(keys::SERVERS, &own.name);
    let mut lease = None;
    loop {
        let found = store.get(&key, Consistency::Linearizable).await?.entry;
        let other: Option<ServerRecord> = found.as_ref().and_then(|entry| parse(entry).ok());
        if let Some(other) = other.filter(|other| !other.is_at_the_doors_of(own)) {
            return Ok(Err(Bearer(Box::new(other))));
        }
        let id = match lease {
            Some(id) => id,
            None => *lease.insert(store.lease_grant(LEASE).await?.id),
        };
        let guard = found
            .map_or_else(|| Guard::Absent(key.clone()), |entry| Guard::Modified(key.clone(), entry.modified));
        let commit = Commit::new().when(guard).put_leased(key.clone(), own.to_bytes(), id);
        match store.commit(commit).await {
            Err(CommitError::Conflict { .. }) => {}
            done => return done.map(|_| Ok(id)).map_err(Into::into),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use kogge_store::backend::redb::{Embedded, Options};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(30);
    const AT_ONCE: Duration = Duration::from_millis(100);

    pub(crate) fn server(port: u16) -> ServerRecord {
        ServerRecord {
            name: "s1".into(),
            door: Some(format!("10.0.0.1:{port}").parse().unwrap()),
            api: String::new(),
            version: String::new(),
        }
    }

    async fn opened(directory: &tempfile::TempDir) -> Embedded {
        Embedded::open(directory.path(), Options::default()).await.unwrap()
    }

    #[tokio::test]
    async fn a_name_is_free_once_its_last_bearer_is_gone_or_was_this_very_server() {
        let directory = tempfile::tempdir().unwrap();
        let store = opened(&directory).await;
        assert_eq!(claim(&store, &server(1), AT_ONCE).await, Ok(()));
        assert_eq!(claim(&store, &server(1), AT_ONCE).await, Ok(()));
        assert_eq!(claim(&store, &server(2), DEADLINE).await, Ok(()), "its lease is over one day");
    }

    #[tokio::test]
    async fn nobody_takes_the_name_of_another_server_that_lives() {
        let directory = tempfile::tempdir().unwrap();
        let store = opened(&directory).await;
        let record = Commit::new().put(keys::under(keys::SERVERS, "s1"), server(1).to_bytes());
        store.commit(record).await.unwrap();
        assert_eq!(claim(&store, &server(2), AT_ONCE).await, Err(Bearer(Box::new(server(1)))));
    }

    #[tokio::test]
    async fn of_many_that_come_at_once_one_bears_the_name() {
        let directory = tempfile::tempdir().unwrap();
        let store = opened(&directory).await;
        let servers: Vec<_> = (1..=16).map(server).collect();
        let claims = servers.iter().map(|own| claim(&store, own, AT_ONCE));
        let bearers = futures_util::future::join_all(claims).await.into_iter().filter(Result::is_ok).count();
        assert_eq!(bearers, 1);
    }
}
