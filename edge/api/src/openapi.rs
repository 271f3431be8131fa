//! The document that describes the API (OpenAPI 3.1).

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use utoipa::OpenApi as _;
use utoipa::openapi::{Info, OpenApi};

use crate::router::parts;

/// What the document says beside paths and schemas.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Kogge",
        description = "The native API of an indoor cloud. Names are told as people write them, times are RFC 3339 \
            text, durations milliseconds, sizes bytes. Whatever is refused comes with a problem document (RFC 9457).",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "apps", description = "Where code is pushed to"),
        (name = "services", description = "What should always run"),
        (name = "deployments", description = "Ways from one revision to the next"),
        (name = "instances", description = "What runs"),
        (name = "images", description = "What can be run"),
        (name = "tokens", description = "Who may come in from elsewhere"),
        (name = "cloud", description = "The cloud as a whole"),
    ),
)]
struct Frame;

pub(crate) fn frame() -> OpenApi {
    let mut document = Frame::openapi();
    let Info { version, .. } = &mut document.info;
    env!("CARGO_PKG_VERSION").clone_into(version);
    document
}

/// The whole document, as `/api/openapi.json` serves it.
#[must_use]
pub fn document() -> OpenApi {
    parts().1
}

/// The document as an answer, made once.
pub(crate) fn serve(document: &OpenApi) -> impl IntoResponse + Clone + Send + Sync + 'static {
    let json = serde_json::to_string_pretty(document).expect("the document is plain data with text keys");
    Document(json.into())
}

#[derive(Clone)]
struct Document(bytes::Bytes);

impl IntoResponse for Document {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}
