//! Apps.

use axum::extract::{Path, State};
use axum::response::Json as Reply;
use kogge_model::name::AppId;
use kogge_model::view::{AppView, CreateAppRequest, Problem};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answer, Plan};
use crate::caller::Asking;
use crate::extract::{Json, Query};
use crate::problem::Refused;
use crate::router::Api;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_apps, create_app)).routes(routes!(show_app))
}

/// List apps
#[utoipa::path(get, path = "/apps", tag = "apps", responses(
    (status = 200, description = "All apps, in order", body = Vec<AppView>),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn list_apps(State(api): State<Api>, Asking(caller): Asking) -> Answer<Vec<AppView>> {
    Ok(Reply(api.handle.apps(&caller).await?))
}

/// Tell about an app
#[utoipa::path(get, path = "/apps/{app}", tag = "apps", params(("app" = String, Path, description = "Its name")), responses(
    (status = 200, description = "The app", body = AppView),
    (status = 404, description = "There is none of that name", body = Problem, content_type = "application/problem+json"),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn show_app(
    State(api): State<Api>,
    Asking(caller): Asking,
    Path(app): Path<String>,
) -> Answer<AppView> {
    let wanted = app.parse::<AppId>().ok();
    let mut apps = api.handle.apps(&caller).await?.into_iter();
    let found = apps.find(|view| wanted.as_ref().is_some_and(|wanted| view.path == wanted.path()));
    let unknown = || Refused::not_found(format!("there is no app {app}")).with_hint("kogge apps");
    found.map(Reply).ok_or_else(unknown)
}

/// Make an app
#[utoipa::path(post, path = "/apps", tag = "apps", params(Plan), request_body = CreateAppRequest, responses(
    (status = 200, description = "The app, or what it would be", body = AppView),
    (status = 409, description = "There is one of that name", body = Problem, content_type = "application/problem+json"),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn create_app(
    State(api): State<Api>,
    Asking(caller): Asking,
    Query(Plan { plan }): Query<Plan>,
    Json(request): Json<CreateAppRequest>,
) -> Answer<AppView> {
    Ok(Reply(api.handle.create_app(&caller, request, plan).await?))
}
