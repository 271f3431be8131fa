//! Follows the newest routing table.

use std::sync::Arc;

use kogge_discovery::RoutingTable;
use tokio::sync::watch;

use crate::router::Inner;

/// Applies each table until the router ends. When its source is gone, the last table stays in force.
pub(crate) async fn run(router: Arc<Inner>, mut tables: watch::Receiver<Arc<RoutingTable>>) {
    let token = router.loops.token();
    loop {
        tokio::select! {
            () = token.cancelled() => return,
            changed = tables.changed() => if changed.is_err() {
                tracing::debug!("no more routing tables");
                return;
            },
        }
        let table = Arc::clone(&tables.borrow_and_update());
        router.apply(table);
    }
}
