//! The whole API as one router, to be merged with whatever else stands behind the same door.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::routing::{any, get};
use kogge_control::Handle;
use kogge_host::tasks::TaskGroup;
use utoipa_axum::router::OpenApiRouter;

use crate::{deadline, guard, openapi, problem, routes};

/// The longest body of an ordinary request.
const MAX_BODY_BYTES: usize = 1 << 20;

/// What every handler has.
#[derive(Clone)]
pub struct Api {
    /// Control's door.
    pub handle: Handle,
    /// Exec sessions run in it, and streams end with it.
    pub tasks: TaskGroup,
}

/// The API behind its guard. Serve it with connect info (`SocketAddr` of the peer), or by [`crate::serve_tls`]: a
/// request whose peer is not known has no caller and is refused.
pub fn router(api: Api) -> Router {
    let (routes, document) = parts();
    let document = openapi::serve(&document);
    let plain = Router::new()
        .route("/api/openapi.json", get(move || async move { document }))
        .route("/api/{*rest}", any(problem::not_found))
        .merge(routes.with_state(api.clone()))
        .merge(routes::metrics::router(api))
        .method_not_allowed_fallback(problem::method_not_allowed);
    guard(plain)
}

/// Routes and the document that describes them, from one list.
pub(crate) fn parts() -> (Router<Api>, utoipa::openapi::OpenApi) {
    let ordinary = OpenApiRouter::new()
        .merge(routes::apps::router())
        .merge(routes::deployments::quick())
        .merge(routes::images::quick())
        .merge(routes::instances::router())
        .merge(routes::joining::router())
        .merge(routes::leader::router())
        .merge(routes::nodes::router())
        .merge(routes::services::router())
        .merge(routes::status::router())
        .merge(routes::tokens::router())
        .layer(from_fn(deadline::ordinary))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES));
    // These take as long as an image, a command or a listener does, and bound themselves.
    let long = OpenApiRouter::new()
        .merge(routes::deployments::long())
        .merge(routes::events::router())
        .merge(routes::exec::router())
        .merge(routes::images::long())
        .merge(routes::logs::router())
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES));
    OpenApiRouter::with_openapi(openapi::frame()).nest("/api/v1", ordinary.merge(long)).split_for_parts()
}
