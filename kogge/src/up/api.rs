//! The API door: the native API, and git for the builder.

use std::net::SocketAddr;

use axum::Router;
use kogge_api::Api;
use kogge_control::Handle;
use kogge_host::tasks::{OnPanic, TaskGroup};
use tokio::net::TcpListener;

/// Serves until the group ends; requests under way are finished.
pub(super) fn serve(listener: TcpListener, control: &Handle, git: Router, group: &TaskGroup) {
    let api = kogge_api::router(Api { handle: control.clone(), tasks: group.clone() });
    // Pushes must come from where the operator is, as every other change.
    let routes = api.merge(kogge_api::guard(git)).fallback(kogge_api::not_found);
    let token = group.token();
    group.spawn("api", OnPanic::StopGroup, async move {
        let service = routes.into_make_service_with_connect_info::<SocketAddr>();
        let served = axum::serve(listener, service).with_graceful_shutdown(token.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "the API door is closed");
        }
    });
}
