//! Looks after everyone's times, so that no request needs a timer.

use std::sync::Arc;
use std::time::Duration;

use crate::router::Inner;

/// How often unused connections to backends are looked at.
const POOLS_EVERY: Duration = Duration::from_secs(2);

/// Ticks while there is any connection to a client or a backend, and sleeps otherwise.
pub(crate) async fn run(router: Arc<Inner>) {
    let token = router.loops.token();
    tokio::select! {
        () = token.cancelled() => {}
        () = sweep(&router) => {}
    }
}

async fn sweep(router: &Inner) {
    let tick = router.config.tick();
    loop {
        router.connections.some().await;
        let (mut pooled, mut since_pools) = (0, Duration::ZERO);
        while router.connections.count() > 0 || pooled > 0 {
            tokio::time::sleep(tick).await;
            let now_ms = router.clock.advance();
            for connection in router.connections.all() {
                connection.check_times(now_ms, &router.config);
            }
            since_pools += tick;
            if since_pools >= POOLS_EVERY || router.connections.count() == 0 {
                (pooled, since_pools) = (router.sweep_pools(now_ms), Duration::ZERO);
            }
        }
    }
}
