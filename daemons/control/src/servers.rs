//! The servers of the cluster: each tells of itself in the state while it lives, and all know all.

use std::sync::Arc;
use std::time::Duration;

use kogge_host::backoff::Backoff;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_store::{Commit, Key, LeaseId, Store};
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
    let commit = Commit::new().put_leased(keys::under(keys::SERVERS, &own.name), value, lease);
    store.commit(commit).await?;
    backoff.reset();
    let mut digest = Teller::new(copy.clone(), own.name.clone());
    for sign in 1_u32.. {
        tokio::time::sleep(SIGN).await;
        store.lease_keepalive(lease).await?;
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
