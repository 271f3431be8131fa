//! Letting machines in.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json as Reply;
use kogge_model::view::{InvitationView, InviteRequest, Problem};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::caller::Asking;
use crate::extract::Json;
use crate::problem::Refused;
use crate::router::Api;

const DEFAULT_SECONDS: u64 = 3_600;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(invite))
}

/// Make a token that lets one machine in
#[utoipa::path(post, path = "/join-tokens", tag = "nodes", request_body = InviteRequest, responses(
    (status = 201, description = "The token; it is told this once", body = InvitationView),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn invite(
    State(api): State<Api>,
    Asking(caller): Asking,
    Json(request): Json<InviteRequest>,
) -> Result<(StatusCode, Reply<InvitationView>), Refused> {
    let time_to_live = Duration::from_secs(request.ttl_seconds.unwrap_or(DEFAULT_SECONDS));
    let invitation = api.handle.invite(&caller, time_to_live).await?;
    let view = InvitationView {
        token: invitation.token,
        expires_at: invitation.expires.into(),
        servers: api.handle.server_doors(),
    };
    Ok((StatusCode::CREATED, Reply(view)))
}
