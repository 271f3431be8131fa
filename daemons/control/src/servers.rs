//! The servers of the cluster: each tells of itself in the state while it lives, and all know all.

use std::sync::Arc;
use std::time::Duration;

use kogge_host::backoff::Backoff;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_store::{Key, LeaseId, Store};
use tokio::sync::watch;

use crate::copy::Copy;
use crate::digests::Teller;
use crate::image::Image;
use crate::keys;
use crate::load::{ELECTION, parse};
use crate::name::{self, Bearer};
use crate::standing::ServerRecord;

/// A server that is silent for so long is not told of any more.
pub(crate) const LEASE: Duration = Duration::from_secs(5);
/// Between two signs of life.
const SIGN: Duration = Duration::from_millis(1_500);

/// Signs of life from one word on what the copy contains to the next: 15 s.
const SIGNS_PER_DIGEST: u32 = 10;

/// Who leads, and the lease that ends when it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Elected {
    pub(crate) server: Option<ServerRecord>,
    pub(crate) lease: Option<LeaseId>,
    /// Which lead this is.
    pub(crate) fence: u64,
}

/// Who leads, as `image` has it.
pub(crate) fn elected(image: &Image) -> Option<Elected> {
    let entry = image.get(&Key::election(ELECTION))?;
    // Somebody else may have won, to move the state.
    let (lease, fence) = (entry.lease, entry.created.get());
    Some(Elected { server: serde_json::from_slice(&entry.value).ok(), lease, fence })
}

/// All servers, as `image` has them.
pub(crate) fn all(image: &Image) -> Vec<ServerRecord> {
    image.under(keys::SERVERS).filter_map(|entry| parse(&entry).ok()).collect()
}

/// Tells of `own`, and of what its `copy` contains, until `group` ends.
pub(crate) fn announce(store: Arc<dyn Store>, own: ServerRecord, copy: Copy, group: &TaskGroup) {
    let token = group.token();
    group.spawn("presence of this server", OnPanic::Log, async move {
        let mut backoff = Backoff::new(Duration::from_millis(100), SIGN);
        let mut rival = None;
        let telling = async {
            loop {
                match tell(store.as_ref(), &own, &copy, &mut backoff).await {
                    Ok(found) => {
                        let (name, other) = (&own.name, found.0.place());
                        if rival.replace(found.clone()) != Some(found) {
                            tracing::warn!(name, other, "is not in the list: another server has this name");
                        }
                    }
                    Err(error) => {
                        tracing::debug!(%error, "the other servers cannot be told of this one yet");
                    }
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

/// Tells until that fails, or another server is found to bear the name.
async fn tell(
    store: &dyn Store,
    own: &ServerRecord,
    copy: &Copy,
    backoff: &mut Backoff,
) -> Result<Bearer, Box<dyn std::error::Error + Send + Sync>> {
    let lease = match name::take(store, own).await? {
        Ok(lease) => lease,
        Err(other) => return Ok(other),
    };
    let key = keys::under(keys::SERVERS, &own.name);
    backoff.reset();
    let mut digest = Teller::new(copy.clone(), own.name.clone());
    let mut sign = 0;
    loop {
        sign = sign % SIGNS_PER_DIGEST + 1;
        tokio::time::sleep(SIGN).await;
        store.lease_keepalive(lease).await?;
        if copy.image().get(&key).is_none() {
            return Err("the record of this server is gone".into());
        }
        if sign == 1 {
            // A word that takes longer must not cost the lease; it comes again.
            let telling = tokio::time::timeout(SIGN, digest.tell(store, lease));
            if let Ok(Err(error)) = telling.await {
                tracing::debug!(%error, "the other servers cannot be told what the copy contains yet");
            }
        }
    }
}

/// All servers, now and from now on.
pub(crate) fn followed(copy: &Copy, group: &TaskGroup) -> watch::Receiver<Vec<ServerRecord>> {
    let (sender, receiver) = watch::channel(Vec::new());
    let (copy, token) = (copy.clone(), group.token());
    group.spawn("list of servers", OnPanic::Log, async move {
        let mut reached = copy.reached();
        // It may begin with something.
        reached.mark_changed();
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
    use kogge_store::Commit;
    use kogge_store::backend::redb::{Embedded, Options};

    use super::*;
    use crate::name::tests::server;

    const DEADLINE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_copy_that_begins_with_something_tells_of_the_servers_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(Embedded::open(directory.path(), Options::default()).await.unwrap());
        let record = Commit::new().put(keys::under(keys::SERVERS, "s1"), server(1).to_bytes());
        store.commit(record).await.unwrap();
        let image = Image::read(store.as_ref()).await.unwrap();
        let group = TaskGroup::new("test");
        let copy = Copy::follow(Arc::clone(&store), image, &group);
        let mut known = followed(&copy, &group);
        let waiting = known.wait_for(|servers| servers.len() == 1);
        tokio::time::timeout(DEADLINE, waiting).await.expect("in time").unwrap();
        assert_eq!(group.shutdown(DEADLINE).await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_record_that_is_gone_comes_back_while_its_server_lives() {
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(Embedded::open(directory.path(), Options::default()).await.unwrap());
        let group = TaskGroup::new("test");
        let copy = Copy::follow(Arc::clone(&store), Image::default(), &group);
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
}
