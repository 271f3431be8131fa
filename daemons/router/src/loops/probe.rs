//! A backend that nobody answers for is asked again from here, so that no user waits for it again.

use std::sync::Arc;
use std::time::Duration;

use kogge_host::backoff::Backoff;
use kogge_host::tasks::OnPanic;

use crate::backend::Backend;
use crate::router::Inner;
use crate::upstream::connection::UpstreamConnection;

/// Between two tries, at first and at last.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(5);

/// Nobody answers for `backend`: it is the last choice until somebody does, which is tried until no table names it.
pub(crate) fn watch(router: &Inner, backend: &Arc<Backend>) {
    if !backend.fall_silent() {
        return;
    }
    let (backend, timeout, token) =
        (Arc::clone(backend), router.config.connect_timeout, router.loops.token());
    drop(router.loops.spawn("probe of a silent backend", OnPanic::Log, async move {
        tokio::select! {
            () = token.cancelled() => {}
            () = ask(&backend, timeout) => {}
        }
    }));
}

async fn ask(backend: &Backend, timeout: Duration) {
    let mut backoff = Backoff::new(SHORTEST, LONGEST);
    loop {
        tokio::time::sleep(backoff.wait()).await;
        if backend.is_retired() || UpstreamConnection::open(backend.endpoint, timeout).await.is_ok() {
            return backend.is_heard();
        }
    }
}
