//! Around a connection that stands still.
//!
//! TCP sends lost words again after waits that soon double: a link that comes and goes may be up at none of those moments
//! for longer than an agent may be silent. New connections ask again and again, and one gets through the next time the
//! link is up. A server that only is slow is not asked again: its machine answers for it.

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::MissedTickBehavior;

use super::connection::Reached;
use super::shared::Shared;
use crate::address::ServerAddress;

/// Tries that may be under way at once; each is given up before that many others were begun.
const MOST_TRIES: usize = 8;

/// A new connection to `server`, which is that of the session on `still`, once that one stands still.
pub(super) async fn find(shared: &Shared, server: &ServerAddress, still: &Reached) -> Reached {
    let mut turns = tokio::time::interval(shared.config.timing.bypass);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tries = FuturesUnordered::new();
    loop {
        let turn = async {
            still.stands_still().await;
            turns.tick().await
        };
        tokio::select! {
            _ = turn, if tries.len() < MOST_TRIES => tries.push(shared.connect_soon(server)),
            Some(tried) = tries.next() => match tried {
                Ok(reached) => return reached,
                Err(error) => tracing::debug!(%error, "the link stands still, and a new connection does not get through"),
            },
        }
    }
}
