//! The cloud as a whole.

use axum::extract::State;
use axum::response::Json as Reply;
use http::StatusCode;
use kogge_control::Down;
use kogge_model::view::{DoorsView, Problem, RevisionView, StatusView};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use crate::caller::Asking;
use crate::extract::Query;
use crate::problem::Refused;
use crate::router::Api;

/// The most revisions told at once.
const MAX_REVISIONS: usize = 1_000;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(show_status))
        .routes(routes!(show_doors))
        .routes(routes!(list_revisions))
        .routes(routes!(end_cloud))
}

/// Tell how the cloud is
#[utoipa::path(get, path = "/status", tag = "cloud", responses(
    (status = 200, description = "Process, counts and warnings", body = StatusView),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn show_status(State(api): State<Api>) -> Answer<StatusView> {
    Ok(Reply(api.handle.status().await?))
}

/// Tell where the cloud can be talked to
#[utoipa::path(get, path = "/doors", tag = "cloud", responses(
    (status = 200, description = "Door → URL", body = DoorsView),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn show_doors(State(api): State<Api>) -> Reply<DoorsView> {
    Reply(api.handle.doors())
}

/// How many.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Limit {
    /// So many at most; 20 when left out, 1000 at most
    limit: Option<usize>,
}

/// List the newest revisions of the tree, the newest first
#[utoipa::path(get, path = "/revisions", tag = "cloud", params(Limit), responses(
    (status = 200, description = "Revisions", body = Vec<RevisionView>),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn list_revisions(
    State(api): State<Api>,
    Query(Limit { limit }): Query<Limit>,
) -> Answer<Vec<RevisionView>> {
    Ok(Reply(api.handle.revisions(limit.unwrap_or(20).min(MAX_REVISIONS)).await?))
}

/// What becomes of the tasks.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Ending {
    /// Let the tasks run on; the next start finds them
    #[serde(default)]
    keep_tasks: bool,
}

/// End the cloud; it is over when its process is
#[utoipa::path(post, path = "/down", tag = "cloud", params(Ending), responses(
    (status = 202, description = "It is ending; this is how it was", body = StatusView),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn end_cloud(
    State(api): State<Api>,
    Asking(caller): Asking,
    Query(Ending { keep_tasks }): Query<Ending>,
) -> Result<(StatusCode, Reply<StatusView>), Refused> {
    let status = api.handle.status().await?;
    tracing::info!(%caller, keep_tasks, "asked to end");
    api.handle.ask_down(Down { keep_tasks })?;
    Ok((StatusCode::ACCEPTED, Reply(status)))
}
