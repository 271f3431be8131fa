//! The API door: the native API, and git for the builder.

use std::net::SocketAddr;

use axum::Router;
use kogge_api::Api;
use kogge_control::Handle;
use kogge_host::tasks::{OnPanic, TaskGroup};
use tokio::net::TcpListener;

/// Everything that stands behind the door.
pub(crate) fn routes(control: &Handle, git: Router, group: &TaskGroup) -> Router {
    let api = kogge_api::router(Api { handle: control.clone(), tasks: group.clone() });
    // Pushes must come from where the operator is, as every other change.
    api.merge(kogge_api::guard(git)).fallback(kogge_api::not_found)
}

/// Serves until the group ends; requests under way are finished.
pub(crate) fn serve(listener: TcpListener, routes: Router, group: &TaskGroup) {
    let token = group.token();
    group.spawn("api", OnPanic::StopGroup, async move {
        let service = routes.into_make_service_with_connect_info::<SocketAddr>();
        let served = axum::serve(listener, service).with_graceful_shutdown(token.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "the API door is closed");
        }
    });
}
