//! Servers and agents.

use axum::extract::{Path, State};
use axum::response::Json as Reply;
use kogge_model::view::{NodeView, Problem};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use crate::router::Api;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_nodes)).routes(routes!(show_node))
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
