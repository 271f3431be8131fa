//! Other programs on the machine reload firewalls; now and then ours is put back.

use std::time::Duration;

use kogge_containers::network::Network;
use tokio_util::sync::CancellationToken;

use crate::sentence;

/// Rare, as it starts a program each time, and only repairs what a person's hand on the machine has broken.
const PERIOD: Duration = Duration::from_secs(300);

/// Runs until `token` is cancelled.
pub(crate) async fn run(network: Network, token: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = token.cancelled() => return,
        }
        if let Err(error) = network.mend().await {
            tracing::warn!(error = sentence::of(&error), "the cloud's firewall rules cannot be put back");
        }
    }
}
