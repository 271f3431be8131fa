//! Tokens of operators.

use axum::extract::{Path, State};
use axum::response::Json as Reply;
use kogge_model::view::{CreateTokenRequest, CreatedTokenView, Problem, TokenView};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use crate::caller::Asking;
use crate::extract::Json;
use crate::router::Api;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_tokens, create_token)).routes(routes!(revoke_token))
}

/// List tokens of operators, without their secrets
#[utoipa::path(get, path = "/tokens", tag = "tokens", responses(
    (status = 200, description = "By name; those that were revoked or expired for a while, too", body = Vec<TokenView>),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn list_tokens(State(api): State<Api>) -> Answer<Vec<TokenView>> {
    Ok(Reply(api.handle.tokens().await?))
}

/// Make a token; its secret is told in this answer only
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = CreateTokenRequest, responses(
    (status = 200, description = "The token and its secret", body = CreatedTokenView),
    (status = 409, description = "The name is taken, or too many tokens are out", body = Problem, content_type = "application/problem+json"),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn create_token(
    State(api): State<Api>,
    Asking(caller): Asking,
    Json(request): Json<CreateTokenRequest>,
) -> Answer<CreatedTokenView> {
    Ok(Reply(api.handle.create_token(&caller, request).await?))
}

/// Take a token back; from the answer on it opens nothing
#[utoipa::path(delete, path = "/tokens/{token}", tag = "tokens", params(("token" = String, Path, description = "Its name or its id")), responses(
    (status = 200, description = "The token", body = TokenView),
    (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn revoke_token(
    State(api): State<Api>,
    Asking(caller): Asking,
    Path(token): Path<String>,
) -> Answer<TokenView> {
    Ok(Reply(api.handle.revoke_token(&caller, token).await?))
}
