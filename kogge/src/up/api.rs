//! What stands behind the API's doors: the native API, and git for the builder.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use kogge_api::{Api, TlsDoor};
use kogge_cli::Failure;
use kogge_control::Handle;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_link::TokenDoor;
use kogge_link::identity::Lifetime;

use super::api_doors::{ApiDoors, WideDoor};
use crate::told::failure;

/// Who the certificate of the door with TLS is for.
const SERVER: &str = "api";

/// Everything that stands behind the doors.
pub(crate) fn routes(control: &Handle, git: Router, group: &TaskGroup) -> Router {
    let api = kogge_api::router(Api { handle: control.clone(), tasks: group.clone() });
    // Pushes must come from where the operator is, as every other change.
    api.merge(kogge_api::guard(git)).fallback(kogge_api::not_found)
}

/// Serves in clear on loopback, and beyond it with TLS and tokens, until the group ends; requests under way are
/// finished.
pub(crate) fn serve(
    doors: ApiDoors,
    routes: Router,
    control: &Handle,
    group: &TaskGroup,
) -> Result<(), Failure> {
    if let Some(WideDoor { listener, hosts }) = doors.wide {
        let door = TokenDoor { server: SERVER.to_owned(), hosts, lifetime: Lifetime::default() };
        let tls = kogge_link::token_door(Arc::clone(control.authority()), door, group)
            .map_err(|error| failure("cannot open the API's door beyond loopback", &error))?;
        let door = TlsDoor { listener, tls, routes: routes.clone(), handle: control.clone() };
        group.spawn("api with TLS", OnPanic::StopGroup, kogge_api::serve_tls(door, group.clone()));
    }
    let token = group.token();
    group.spawn("api", OnPanic::StopGroup, async move {
        let service = routes.into_make_service_with_connect_info::<SocketAddr>();
        let served = axum::serve(doors.clear, service).with_graceful_shutdown(token.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "the API door is closed");
        }
    });
    Ok(())
}
