//! Lines that tasks wrote.

use axum::extract::State;
use axum::response::Response;
use kogge_model::view::{LogLineView, LogQuery, Moment, Problem};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::Query;
use crate::lines;
use crate::problem::Refused;
use crate::router::Api;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(read_logs))
}

/// Which lines.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// An app, a service or an instance; everything when left out
    of: Option<String>,
    /// Only lines from then on
    since: Option<Moment>,
    /// Only the last so many lines of what is there
    tail: Option<u32>,
    /// Whether to go on with lines as they are written
    #[serde(default)]
    follow: bool,
}

/// Read what instances wrote: one JSON value a line, the oldest first; empty lines only keep the connection alive
#[utoipa::path(get, path = "/logs", tag = "instances", params(Which), responses(
    (status = 200, description = "Lines", body = LogLineView, content_type = "application/x-ndjson"),
    (status = 404, description = "There is no such thing", body = Problem, content_type = "application/problem+json"),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn read_logs(State(api): State<Api>, Query(which): Query<Which>) -> Result<Response, Refused> {
    let Which { of, since, tail, follow } = which;
    let lines = api.handle.logs(LogQuery { of, since, tail, follow }).await?;
    Ok(lines::respond(lines, api.tasks.token()))
}
