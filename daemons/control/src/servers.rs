//! The servers of the cluster: each tells of itself in the state while it lives, and all know all.

use std::sync::Arc;
use std::time::Duration;

use kogge_host::backoff::Backoff;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_store::{Commit, Consistency, Key, LeaseId, Store};
use tokio::sync::watch;

use crate::copy::Copy;
use crate::digests::Teller;
use crate::image::Image;
use crate::keys;
use crate::load::{ELECTION, parse};
use crate::standing::ServerRecord;

/// A server that is silent for so long is not told of any more.
const LEASE: Duration = Duration::from_secs(5);
/// Between two signs of life.
const SIGN: Duration = Duration::from_millis(1_500);

/// For a record of this server's name to go that is another one's: it has ended, or lives. Longer than its lease.
pub(crate) const NAME_PATIENCE: Duration = Duration::from_secs(8);
/// Between two looks at it.
const NAME_LOOK: Duration = Duration::from_millis(250);

/// Signs of life from one word on what the copy contains to the next: 15 s.
const SIGNS_PER_DIGEST: u32 = 10;

/// Who leads, and the lease that ends when it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Elected {
    pub(crate) server: Option<ServerRecord>,
    pub(crate) lease: Option<LeaseId>,
}

/// Who leads, as `image` has it.
pub(crate) fn elected(image: &Image) -> Option<Elected> {
    let entry = image.get(&Key::election(ELECTION))?;
    // Somebody else may have won, to move the state.
    Some(Elected { server: serde_json::from_slice(&entry.value).ok(), lease: entry.lease })
}

/// All servers, as `image` has them.
pub(crate) fn all(image: &Image) -> Vec<ServerRecord> {
    image.under(keys::SERVERS).filter_map(|entry| parse(&entry).ok()).collect()
}

/// Looks whether the name of `own` is free: others find servers by their names, and two of one name would each take
/// the other for itself. A record with the same doors is of an earlier life of this very server; another one has as
/// long to go as `patience` lasts.
///
/// # Errors
/// The other server of that name, which lives.
pub(crate) async fn claim_name(
    store: &dyn Store,
    own: &ServerRecord,
    patience: Duration,
) -> Result<(), Box<ServerRecord>> {
    let key = keys::under(keys::SERVERS, &own.name);
    let until = tokio::time::Instant::now() + patience;
    let mut is_told = false;
    loop {
        // An engine that does not answer is told of by what follows.
        let Ok(found) = store.get(&key, Consistency::Linearizable).await else { return Ok(()) };
        let other: Option<ServerRecord> = found.entry.and_then(|entry| parse(&entry).ok());
        let Some(other) = other.filter(|other| !other.is_at_the_doors_of(own)) else { return Ok(()) };
        if tokio::time::Instant::now() >= until {
            return Err(Box::new(other));
        }
        if !std::mem::replace(&mut is_told, true) {
            tracing::info!(
                name = own.name,
                other = other.place(),
                "waits until another server of this name is gone"
            );
        }
        tokio::time::sleep(NAME_LOOK).await;
    }
}

/// Tells of `own`, and of what its `copy` contains, until `group` ends.
pub(crate) fn announce(store: Arc<dyn Store>, own: ServerRecord, copy: Copy, group: &TaskGroup) {
    let token = group.token();
    group.spawn("presence of this server", OnPanic::Log, async move {
        let mut backoff = Backoff::new(Duration::from_millis(100), SIGN);
        let telling = async {
            loop {
                if let Err(error) = tell(store.as_ref(), &own, &copy, &mut backoff).await {
                    tracing::debug!(%error, "the other servers cannot be told of this one yet");
                }
                tokio::time::sleep(backoff.wait()).await;
            }
        };
        tokio::select! {
            () = token.cancelled() => {}
            () = telling => {}
        }
    });
}

/// Tells until that fails.
async fn tell(
    store: &dyn Store,
    own: &ServerRecord,
    copy: &Copy,
    backoff: &mut Backoff,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let lease: LeaseId = store.lease_grant(LEASE).await?.id;
    let value = serde_json::to_vec(own)?;
    let key = keys::under(keys::SERVERS, &own.name);
    let commit = Commit::new().put_leased(key.clone(), value, lease);
    store.commit(commit).await?;
    backoff.reset();
    let mut digest = Teller::new(copy.clone(), own.name.clone());
    for sign in 1_u32.. {
        tokio::time::sleep(SIGN).await;
        store.lease_keepalive(lease).await?;
        if copy.image().get(&key).is_none() {
            return Err("the record of this server is gone".into());
        }
        if sign % SIGNS_PER_DIGEST == 1 {
            // A word that takes longer must not cost the lease; it comes again.
            let telling = tokio::time::timeout(SIGN, digest.tell(store, lease));
            if let Ok(Err(error)) = telling.await {
                tracing::debug!(%error, "the other servers cannot be told what the copy contains yet");
            }
        }
    }
    Ok(())
}

/// All servers, now and from now on.
pub(crate) fn followed(copy: &Copy, group: &TaskGroup) -> watch::Receiver<Vec<ServerRecord>> {
    let (sender, receiver) = watch::channel(Vec::new());
    let (copy, token) = (copy.clone(), group.token());
    group.spawn("list of servers", OnPanic::Log, async move {
        let mut reached = copy.reached();
        let following = async {
            while reached.changed().await.is_ok() {
                let servers = all(&copy.image());
                sender.send_if_modified(|known| {
                    let is_news = *known != servers;
                    *known = servers;
                    is_news
                });
            }
        };
        tokio::select! {
            () = token.cancelled() => {}
            () = following => {}
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use kogge_store::backend::redb::{Embedded, Options};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(30);

    fn server(port: u16) -> ServerRecord {
        ServerRecord {
            name: "s1".into(),
            door: Some(format!("10.0.0.1:{port}").parse().unwrap()),
            api: String::new(),
            version: String::new(),
        }
    }

    async fn told(store: &dyn Store, server: &ServerRecord, lease: Option<LeaseId>) {
        let (key, value) = (keys::under(keys::SERVERS, &server.name), server.to_bytes());
        let commit = match lease {
            Some(lease) => Commit::new().put_leased(key, value, lease),
            None => Commit::new().put(key, value),
        };
        store.commit(commit).await.unwrap();
    }

    #[tokio::test]
    async fn a_record_that_is_gone_comes_back_while_its_server_lives() {
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(Embedded::open(directory.path(), Options::default()).await.unwrap());
        let group = TaskGroup::new("test");
        let copy = Copy::follow(Arc::clone(&store), &group);
        let mut known = followed(&copy, &group);
        announce(Arc::clone(&store), server(1), copy, &group);
        let mut is = async |count: usize| {
            let waiting = known.wait_for(|servers| servers.len() == count);
            tokio::time::timeout(DEADLINE, waiting).await.expect("in time").unwrap();
        };
        is(1).await;
        store.commit(Commit::new().delete(keys::under(keys::SERVERS, "s1"))).await.unwrap();
        is(0).await;
        is(1).await;
        assert_eq!(group.shutdown(DEADLINE).await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_name_is_free_once_its_last_bearer_is_gone_or_was_this_very_server() {
        let directory = tempfile::tempdir().unwrap();
        let store = Embedded::open(directory.path(), Options::default()).await.unwrap();
        claim_name(&store, &server(1), NAME_PATIENCE).await.unwrap();
        told(&store, &server(1), None).await;
        claim_name(&store, &server(1), NAME_PATIENCE).await.unwrap();
        let lease = store.lease_grant(Duration::from_secs(2)).await.unwrap().id;
        told(&store, &server(1), Some(lease)).await;
        claim_name(&store, &server(2), DEADLINE).await.unwrap();
    }

    #[tokio::test]
    async fn nobody_takes_the_name_of_another_server_that_lives() {
        let directory = tempfile::tempdir().unwrap();
        let store = Embedded::open(directory.path(), Options::default()).await.unwrap();
        told(&store, &server(1), None).await;
        let claimed = claim_name(&store, &server(2), Duration::from_millis(100)).await;
        assert_eq!(claimed, Err(Box::new(server(1))));
    }
}
