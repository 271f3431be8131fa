//! Servers and agents.

use axum::extract::{Path, State};
use axum::response::Json as Reply;
use kogge_model::view::{ChangeView, DrainRequest, LabelRequest, NodeView, Problem, ReserveRequest};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answer, Plan};
use crate::caller::Asking;
use crate::extract::{Json, Query};
use crate::router::Api;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_nodes))
        .routes(routes!(show_node, forget_node))
        .routes(routes!(drain_node))
        .routes(routes!(undrain_node))
        .routes(routes!(label_node))
        .routes(routes!(reserve_node))
}

/// List servers and agents
#[utoipa::path(get, path = "/nodes", tag = "nodes", responses(
    (status = 200, description = "Servers first, then agents by name", body = Vec<NodeView>),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn list_nodes(State(api): State<Api>) -> Answer<Vec<NodeView>> {
    Ok(Reply(api.handle.nodes().await?))
}

/// Tell about a server or an agent
#[utoipa::path(get, path = "/nodes/{node}", tag = "nodes", params(("node" = String, Path, description = "Its name")), responses(
    (status = 200, description = "What has that name: a server and an agent may share it", body = Vec<NodeView>),
    (status = 404, description = "There is none of that name", body = Problem, content_type = "application/problem+json"),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn show_node(State(api): State<Api>, Path(node): Path<String>) -> Answer<Vec<NodeView>> {
    Ok(Reply(api.handle.node(&node).await?))
}

/// Give an agent nothing new, and move what runs there elsewhere
#[utoipa::path(post, path = "/nodes/{node}/drain", tag = "nodes", params(("node" = String, Path, description = "Its name or id"), Plan), request_body = DrainRequest, responses(
    (status = 200, description = "What changes", body = ChangeView),
    (status = 404, description = "There is no agent of that name", body = Problem, content_type = "application/problem+json"),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn drain_node(
    State(api): State<Api>,
    Asking(caller): Asking,
    Path(node): Path<String>,
    Query(Plan { plan }): Query<Plan>,
    Json(request): Json<DrainRequest>,
) -> Answer<ChangeView> {
    Ok(Reply(api.handle.drain_node(&caller, &node, request, plan).await?))
}

/// Use a drained agent again
#[utoipa::path(post, path = "/nodes/{node}/undrain", tag = "nodes", params(("node" = String, Path, description = "Its name or id"), Plan), responses(
    (status = 200, description = "What changes", body = ChangeView),
    (status = 404, description = "There is no agent of that name", body = Problem, content_type = "application/problem+json"),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn undrain_node(
    State(api): State<Api>,
    Asking(_): Asking,
    Path(node): Path<String>,
    Query(Plan { plan }): Query<Plan>,
) -> Answer<ChangeView> {
    Ok(Reply(api.handle.undrain_node(&node, plan).await?))
}

/// Set attributes of an agent on top of its own, or take such away
#[utoipa::path(post, path = "/nodes/{node}/label", tag = "nodes", params(("node" = String, Path, description = "Its name or id"), Plan), request_body = LabelRequest, responses(
    (status = 200, description = "What changes", body = ChangeView),
    (status = 404, description = "There is no agent of that name", body = Problem, content_type = "application/problem+json"),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn label_node(
    State(api): State<Api>,
    Asking(_): Asking,
    Path(node): Path<String>,
    Query(Plan { plan }): Query<Plan>,
    Json(request): Json<LabelRequest>,
) -> Answer<ChangeView> {
    Ok(Reply(api.handle.label_node(&node, request, plan).await?))
}

/// Withhold part of an agent from new tasks
#[utoipa::path(post, path = "/nodes/{node}/reserve", tag = "nodes", params(("node" = String, Path, description = "Its name or id"), Plan), request_body = ReserveRequest, responses(
    (status = 200, description = "What changes", body = ChangeView),
    (status = 404, description = "There is no agent of that name", body = Problem, content_type = "application/problem+json"),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn reserve_node(
    State(api): State<Api>,
    Asking(_): Asking,
    Path(node): Path<String>,
    Query(Plan { plan }): Query<Plan>,
    Json(request): Json<ReserveRequest>,
) -> Answer<ChangeView> {
    Ok(Reply(api.handle.reserve_node(&node, request, plan).await?))
}

/// Forget an agent that is lost
#[utoipa::path(delete, path = "/nodes/{node}", tag = "nodes", params(("node" = String, Path, description = "Its name or id"), Plan), responses(
    (status = 200, description = "What changes", body = ChangeView),
    (status = 404, description = "There is no agent of that name", body = Problem, content_type = "application/problem+json"),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn forget_node(
    State(api): State<Api>,
    Asking(_): Asking,
    Path(node): Path<String>,
    Query(Plan { plan }): Query<Plan>,
) -> Answer<ChangeView> {
    Ok(Reply(api.handle.forget_node(&node, plan).await?))
}
