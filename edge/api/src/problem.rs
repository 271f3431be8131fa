//! Refusals as problem documents (RFC 9457).

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use kogge_control::Refusal;
use kogge_model::fault::{Fault, Faults};
use kogge_model::reason::Reason;
use kogge_model::view::Problem;

/// A request that was not done. The kind decides the status; both are told from one table.
#[derive(Debug, Clone)]
pub(crate) struct Refused(Box<Problem>);

/// Kinds of problems: status, name in the URI, title.
const MALFORMED: (StatusCode, &str, &str) =
    (StatusCode::BAD_REQUEST, "malformed", "the request cannot be read");
const UNAUTHORIZED: (StatusCode, &str, &str) =
    (StatusCode::UNAUTHORIZED, "unauthorized", "the caller is nobody here");
const FORBIDDEN: (StatusCode, &str, &str) =
    (StatusCode::FORBIDDEN, "forbidden", "the caller may not do this");
const NOT_FOUND: (StatusCode, &str, &str) = (StatusCode::NOT_FOUND, "not-found", "there is no such thing");
const METHOD: (StatusCode, &str, &str) =
    (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "the method is not known here");
const CONFLICT: (StatusCode, &str, &str) = (StatusCode::CONFLICT, "conflict", "it clashes with what is");
const TOO_LARGE: (StatusCode, &str, &str) =
    (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the request is too large");
const MEDIA_TYPE: (StatusCode, &str, &str) =
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "the media type is not known here");
const MISDIRECTED: (StatusCode, &str, &str) =
    (StatusCode::MISDIRECTED_REQUEST, "misdirected", "the request was meant for somebody else");
const INVALID: (StatusCode, &str, &str) =
    (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "the request breaks rules");
const UPGRADE: (StatusCode, &str, &str) =
    (StatusCode::UPGRADE_REQUIRED, "upgrade-required", "the protocol must change");
const BROKEN: (StatusCode, &str, &str) =
    (StatusCode::INTERNAL_SERVER_ERROR, "broken", "a fault of Kogge's own");
const UNAVAILABLE: (StatusCode, &str, &str) =
    (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "it cannot be done now");
const NOT_LEADER: (StatusCode, &str, &str) =
    (StatusCode::SERVICE_UNAVAILABLE, Problem::NOT_LEADER, "another server has to do it");
const NO_SPACE: (StatusCode, &str, &str) =
    (StatusCode::INSUFFICIENT_STORAGE, "no-space", "there is no space left");

impl Refused {
    fn new((status, kind, title): (StatusCode, &str, &str), detail: impl Into<String>) -> Self {
        Self(Box::new(Problem {
            kind: format!("{}{kind}", Problem::KIND_PREFIX),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            hint: None,
            faults: Vec::new(),
        }))
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(MALFORMED, detail)
    }

    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(UNAUTHORIZED, detail)
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(FORBIDDEN, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(NOT_FOUND, detail)
    }

    pub(crate) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(TOO_LARGE, detail)
    }

    pub(crate) fn media_type(detail: impl Into<String>) -> Self {
        Self::new(MEDIA_TYPE, detail)
    }

    pub(crate) fn misdirected(detail: impl Into<String>) -> Self {
        Self::new(MISDIRECTED, detail)
    }

    pub(crate) fn upgrade(detail: impl Into<String>) -> Self {
        Self::new(UPGRADE, detail)
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(UNAVAILABLE, detail)
    }

    pub(crate) fn invalid(faults: Vec<Fault>) -> Self {
        let detail = match faults.as_slice() {
            [fault] => format!("{}: {}", fault.field, fault.rule),
            faults => format!("{} fields break rules", faults.len()),
        };
        let mut refused = Self::new(INVALID, detail);
        refused.0.faults = faults;
        refused
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub(crate) fn problem(self) -> Problem {
        *self.0
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let (kind, reason) = match refusal {
            Refusal::Invalid(Faults(faults)) => return Self::invalid(faults),
            Refusal::NotFound(reason) => (NOT_FOUND, reason),
            Refusal::Conflict(reason) => (CONFLICT, reason),
            Refusal::Unavailable(reason) => (UNAVAILABLE, reason),
            Refusal::NotLeader(reason) => (NOT_LEADER, reason),
            Refusal::NoSpace(reason) => (NO_SPACE, reason),
            Refusal::Broken(reason) => (BROKEN, reason),
        };
        let mut refused = Self::new(kind, reason.text);
        refused.0.hint = reason.hint;
        refused
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let json = serde_json::to_vec(&self.0).expect("a problem is plain data with text keys");
        let mut response = (status, json).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(Problem::MEDIA_TYPE));
        if status == StatusCode::UPGRADE_REQUIRED {
            headers.insert(header::UPGRADE, HeaderValue::from_static(kogge_model::view::exec::PROTOCOL));
        }
        response
    }
}

/// Answers for paths that lead nowhere.
pub async fn not_found(uri: http::Uri) -> Response {
    Refused::not_found(format!("nothing is at {}", uri.path()))
        .with_hint("/api/openapi.json describes what is")
        .into_response()
}

/// What cannot be done now, as an answer.
#[must_use]
pub fn unavailable(reason: Reason) -> Response {
    let refused = Refused::unavailable(reason.text);
    match reason.hint {
        Some(hint) => refused.with_hint(hint).into_response(),
        None => refused.into_response(),
    }
}

pub(crate) async fn method_not_allowed(method: http::Method, uri: http::Uri) -> Response {
    Refused::new(METHOD, format!("{} is not for {method}", uri.path()))
        .with_hint("/api/openapi.json describes what is")
        .into_response()
}
