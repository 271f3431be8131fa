//! Deployments.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Json as Reply;
use kogge_model::view::{ChangeView, DeployRequest, DeploymentView, Problem};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answer, Plan};
use crate::caller::Asking;
use crate::extract::{Json, Query};
use crate::problem::Refused;
use crate::router::Api;

/// How long a deployment may take to begin: its image may have to be pulled.
const PULL: Duration = Duration::from_secs(1_800);

/// The longest wait for the end of a deployment; whoever wants more asks again.
const MAX_WAIT: Duration = Duration::from_secs(20);

pub(crate) fn quick() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_deployments)).routes(routes!(show_deployment))
}

pub(crate) fn long() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(deploy))
}

/// How long to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wait {
    /// Answer when it is over, but after so many milliseconds at the latest (20000 at most)
    #[serde(default)]
    wait_ms: u64,
}

/// List the deployment under way, or the last one, of every service
#[utoipa::path(get, path = "/deployments", tag = "deployments", responses(
    (status = 200, description = "Deployments, in the order of their services", body = Vec<DeploymentView>),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn list_deployments(State(api): State<Api>) -> Answer<Vec<DeploymentView>> {
    let services = api.handle.services().await?;
    Ok(Reply(services.into_iter().filter_map(|service| service.deployment).collect()))
}

/// Tell how far a deployment is
#[utoipa::path(get, path = "/deployments/{deployment}", tag = "deployments",
    params(("deployment" = String, Path, description = "Its id"), Wait), responses(
    (status = 200, description = "The deployment", body = DeploymentView),
    (status = 404, description = "It never was, or is forgotten", body = Problem, content_type = "application/problem+json"),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn show_deployment(
    State(api): State<Api>,
    Path(deployment): Path<String>,
    Query(Wait { wait_ms }): Query<Wait>,
) -> Answer<DeploymentView> {
    let wait = Some(Duration::from_millis(wait_ms).min(MAX_WAIT)).filter(|wait| !wait.is_zero());
    Ok(Reply(api.handle.deployment(deployment, wait).await?))
}

/// Ask for a service: its image is looked for, pulled if need be, and one revision is made
#[utoipa::path(post, path = "/deployments", tag = "deployments", params(Plan), request_body = DeployRequest, responses(
    (status = 200, description = "What changes, and the deployments that were begun", body = ChangeView),
    (status = 404, description = "There is no such image", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "Fields break rules; all of them are told", body = Problem, content_type = "application/problem+json"),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn deploy(
    State(api): State<Api>,
    Asking(caller): Asking,
    Query(Plan { plan }): Query<Plan>,
    Json(request): Json<DeployRequest>,
) -> Answer<ChangeView> {
    let deployed = tokio::time::timeout(PULL, api.handle.deploy(&caller, request, plan)).await;
    let late = |_| Refused::unavailable("no answer within half an hour: whether it was done is not known");
    Ok(Reply(deployed.map_err(late)??))
}
