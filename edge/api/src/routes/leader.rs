//! The lead.

use axum::extract::State;
use axum::http::StatusCode;
use kogge_model::view::Problem;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::caller::Asking;
use crate::problem::Refused;
use crate::router::Api;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(step_down))
}

/// Hand the lead over to another server
#[utoipa::path(post, path = "/leader/step-down", tag = "nodes", responses(
    (status = 204, description = "The leader has let go; another server takes over"),
    (status = 409, description = "There is no other server", body = Problem, content_type = "application/problem+json"),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn step_down(State(api): State<Api>, Asking(caller): Asking) -> Result<StatusCode, Refused> {
    api.handle.step_down(&caller).await?;
    Ok(StatusCode::NO_CONTENT)
}
