//! Services, and changes to those that stand.

use axum::extract::{Path, State};
use axum::response::Json as Reply;
use kogge_model::view::{ChangeView, Problem, ScaleRequest, ServiceView, ServicesRequest, WhyView};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answer, Plan};
use crate::caller::Asking;
use crate::extract::{Json, Query};
use crate::router::Api;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_services))
        .routes(routes!(show_service))
        .routes(routes!(scale_services))
        .routes(routes!(restart_services))
        .routes(routes!(stop_services))
        .routes(routes!(destroy))
        .routes(routes!(tell_why))
}

/// List services
#[utoipa::path(get, path = "/services", tag = "services", responses(
    (status = 200, description = "All services, in order", body = Vec<ServiceView>),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn list_services(State(api): State<Api>) -> Answer<Vec<ServiceView>> {
    Ok(Reply(api.handle.services().await?))
}

/// Tell about a service
#[utoipa::path(get, path = "/services/{service}", tag = "services",
    params(("service" = String, Path, description = "Its name, its slashes encoded")), responses(
    (status = 200, description = "The service", body = ServiceView),
    (status = 404, description = "There is none of that name", body = Problem, content_type = "application/problem+json"),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn show_service(State(api): State<Api>, Path(service): Path<String>) -> Answer<ServiceView> {
    Ok(Reply(api.handle.service(service).await?))
}

/// Change numbers of instances, all of them or none
#[utoipa::path(post, path = "/scale", tag = "services", params(Plan), request_body = ScaleRequest, responses(
    (status = 200, description = "What changes", body = ChangeView),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn scale_services(
    State(api): State<Api>,
    Asking(caller): Asking,
    Query(Plan { plan }): Query<Plan>,
    Json(request): Json<ScaleRequest>,
) -> Answer<ChangeView> {
    Ok(Reply(api.handle.scale(&caller, request, plan).await?))
}

/// Replace all instances, a few at a time; starts what was stopped
#[utoipa::path(post, path = "/restart", tag = "services", params(Plan), request_body = ServicesRequest, responses(
    (status = 200, description = "What changes", body = ChangeView),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn restart_services(
    State(api): State<Api>,
    Asking(caller): Asking,
    Query(Plan { plan }): Query<Plan>,
    Json(request): Json<ServicesRequest>,
) -> Answer<ChangeView> {
    Ok(Reply(api.handle.restart(&caller, request, plan).await?))
}

/// End all instances; how many are wished is remembered
#[utoipa::path(post, path = "/stop", tag = "services", params(Plan), request_body = ServicesRequest, responses(
    (status = 200, description = "What changes", body = ChangeView),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn stop_services(
    State(api): State<Api>,
    Asking(caller): Asking,
    Query(Plan { plan }): Query<Plan>,
    Json(request): Json<ServicesRequest>,
) -> Answer<ChangeView> {
    Ok(Reply(api.handle.stop(&caller, request, plan).await?))
}

/// End apps (named alone) and services (`app/service`) for good, all of them or none
#[utoipa::path(post, path = "/destroy", tag = "services", params(Plan), request_body = ServicesRequest, responses(
    (status = 200, description = "What changes", body = ChangeView),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn destroy(
    State(api): State<Api>,
    Asking(caller): Asking,
    Query(Plan { plan }): Query<Plan>,
    Json(request): Json<ServicesRequest>,
) -> Answer<ChangeView> {
    Ok(Reply(api.handle.destroy(&caller, request, plan).await?))
}

/// Tell why something is as it is
#[utoipa::path(get, path = "/why/{name}", tag = "services",
    params(("name" = String, Path, description = "App, service, instance or task, its slashes encoded")), responses(
    (status = 200, description = "Reasons, hints and what was decided", body = WhyView),
    (status = 404, description = "Nothing of that name is known", body = Problem, content_type = "application/problem+json"),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn tell_why(
    State(api): State<Api>,
    Asking(caller): Asking,
    Path(name): Path<String>,
) -> Answer<WhyView> {
    Ok(Reply(api.handle.why(&caller, name).await?))
}
