//! Images.

use std::io;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::response::{Json as Reply, Response};
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, header};
use kogge_control::ports::{Flow, Progress};
use kogge_model::view::{BuildBaseRequest, ImageView, Problem, ProgressView};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answer, Plan};
use crate::caller::Asking;
use crate::extract::{Json, Query};
use crate::lines;
use crate::problem::Refused;
use crate::router::Api;

/// The largest archive.
const MAX_ARCHIVE_BYTES: u64 = 64 << 30;

/// How long an upload may stand still.
const STALL: Duration = Duration::from_secs(60);

pub(crate) fn quick() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_images)).routes(routes!(remove_image))
}

pub(crate) fn long() -> OpenApiRouter<Api> {
    let load = OpenApiRouter::new().routes(routes!(load_images)).layer(DefaultBodyLimit::disable());
    load.routes(routes!(build_base_image))
}

/// What to call it.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Naming {
    /// What to call the image, instead of what the archive says
    name: Option<String>,
}

/// List images
#[utoipa::path(get, path = "/images", tag = "images", responses(
    (status = 200, description = "All images that are here", body = Vec<ImageView>),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn list_images(State(api): State<Api>) -> Answer<Vec<ImageView>> {
    Ok(Reply(api.handle.images().await?))
}

/// Take an archive as `docker save` makes it, or an OCI layout in a tar file
#[utoipa::path(post, path = "/images", tag = "images", params(Naming),
    request_body(content = Vec<u8>, content_type = "application/x-tar", description = "The archive"), responses(
    (status = 200, description = "The images it held", body = Vec<ImageView>),
    (status = 413, description = "It is too large", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "It is damaged or hostile", body = Problem, content_type = "application/problem+json"),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn load_images(
    State(api): State<Api>,
    Asking(caller): Asking,
    Query(Naming { name }): Query<Naming>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Vec<ImageView>> {
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > MAX_ARCHIVE_BYTES) {
        return Err(Refused::too_large("the archive is larger than 64 GiB"));
    }
    Ok(Reply(api.handle.load_images(&caller, archive(body.into_data_stream()), name).await?))
}

/// The upload's bytes, bounded in size and in how long it may stand still.
fn archive(body: BodyDataStream) -> Flow<io::Result<bytes::Bytes>> {
    let chunks = stream::unfold(Some((body, 0u64)), |state| async move {
        let (mut body, before) = state?;
        let chunk = match tokio::time::timeout(STALL, body.next()).await {
            Ok(None) => return None,
            Ok(Some(Ok(chunk))) => chunk,
            Ok(Some(Err(error))) => return Some((Err(io::Error::other(error)), None)),
            Err(_) => {
                let error = io::Error::new(io::ErrorKind::TimedOut, "the upload stood still for a minute");
                return Some((Err(error), None));
            }
        };
        let total = before.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if total > MAX_ARCHIVE_BYTES {
            let error = io::Error::new(io::ErrorKind::FileTooLarge, "the archive is larger than 64 GiB");
            return Some((Err(error), None));
        }
        Some((Ok(chunk), Some((body, total))))
    });
    Box::pin(chunks)
}

/// Forget an image
#[utoipa::path(delete, path = "/images/{image}", tag = "images",
    params(("image" = String, Path, description = "Its name or digest, its slashes encoded"), Plan), responses(
    (status = 200, description = "The image that was, or would be, forgotten", body = ImageView),
    (status = 404, description = "There is none of that name", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "Services need it", body = Problem, content_type = "application/problem+json"),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn remove_image(
    State(api): State<Api>,
    Asking(caller): Asking,
    Path(image): Path<String>,
    Query(Plan { plan }): Query<Plan>,
) -> Answer<ImageView> {
    Ok(Reply(api.handle.remove_image(&caller, image, plan).await?))
}

/// Make a base image from Debian packages: one JSON value a line, the last with the image or the problem
#[utoipa::path(post, path = "/images/base", tag = "images", request_body = BuildBaseRequest, responses(
    (status = 200, description = "Progress", body = ProgressView, content_type = "application/x-ndjson"),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn build_base_image(
    State(api): State<Api>,
    Asking(caller): Asking,
    Json(request): Json<BuildBaseRequest>,
) -> Result<Response, Refused> {
    let steps = api.handle.build_base_image(&caller, request).await?;
    Ok(lines::respond(steps.map(view), api.tasks.token()))
}

fn view(step: Progress) -> ProgressView {
    match step {
        Progress::Line(text) => ProgressView { text: Some(text), ..ProgressView::default() },
        Progress::Done(image) => ProgressView { image: Some(*image), ..ProgressView::default() },
        Progress::Failed(reason) => {
            let refused = Refused::from(kogge_control::Refusal::Unavailable(reason));
            ProgressView { problem: Some(refused.problem()), ..ProgressView::default() }
        }
    }
}
