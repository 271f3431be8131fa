//! Why a request got no answer from a backend, and the page that says so.

use std::error::Error;
use std::fmt::Write;
use std::io;
use std::sync::Arc;

use http::StatusCode;
use kogge_model::name::ServiceId;
use kogge_model::reason::Reason;

use crate::backend::{Backend, Lease};
use crate::page::Page;
use crate::target::TargetError;
use crate::traffic::Traffic;
use crate::upstream::exchange::ExchangeError;

/// How much of a path is repeated to the client, in characters.
const MAX_SHOWN_PATH: usize = 200;

/// A page, and whose counters it goes to.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) page: Box<Page>,
    pub(crate) traffic: Option<Arc<Traffic>>,
}

impl Failure {
    fn of(page: Page, traffic: Option<Arc<Traffic>>) -> Self {
        Self { page: Box::new(page), traffic }
    }

    pub(crate) fn no_route(host: &str, path: &str) -> Self {
        let path: String = path.chars().take(MAX_SHOWN_PATH).collect();
        let page =
            Page::new(StatusCode::NOT_FOUND, "no-route", format!("no service is routed at {host}{path}"));
        Self::of(page.with_hint("check the name; `kogge ps` lists the services"), None)
    }

    pub(crate) fn no_backend(service: &ServiceId, why: &Reason, traffic: Arc<Traffic>) -> Self {
        let why_text = if why.text.is_empty() { "none is running" } else { &why.text };
        let text = format!("no instance of {service} can answer: {why_text}");
        let hint = why
            .hint
            .clone()
            .unwrap_or_else(|| format!("try again in a moment, or ask `kogge why {service}`"));
        Self::of(
            Page::new(StatusCode::SERVICE_UNAVAILABLE, "no-backend", text).with_hint(hint),
            Some(traffic),
        )
    }

    pub(crate) fn connect(lease: &Lease, error: &io::Error) -> Self {
        let text = format!("{} cannot be reached: {error}", lease.instance);
        let hint = ask_logs(lease);
        let page = Page::new(StatusCode::BAD_GATEWAY, "backend-unreachable", text).with_hint(hint);
        Self::of(page, Some(Arc::clone(&lease.traffic)))
    }

    pub(crate) fn exchange(lease: &Lease, error: &ExchangeError, is_request_sent: bool) -> Self {
        let text = format!("{} gave no valid answer: {}", lease.instance, chain(error));
        let page = match error {
            ExchangeError::Timeout if !is_request_sent => {
                let text = "the request's body did not come in time";
                Page::new(StatusCode::REQUEST_TIMEOUT, "request-timeout", text)
            }
            ExchangeError::Timeout => {
                Page::new(StatusCode::GATEWAY_TIMEOUT, "backend-timeout", text).with_hint(ask_logs(lease))
            }
            ExchangeError::Client(error) => {
                Page::new(StatusCode::BAD_REQUEST, "request-broken", error.to_string())
            }
            _ => Page::new(StatusCode::BAD_GATEWAY, "backend-invalid", text).with_hint(ask_logs(lease)),
        };
        Self::of(page, Some(Arc::clone(&lease.traffic)))
    }

    pub(crate) fn unasked_upgrade(lease: &Lease) -> Self {
        let text = format!("{} changed the protocol unasked", lease.instance);
        let page = Page::new(StatusCode::BAD_GATEWAY, "backend-invalid", text).with_hint(ask_logs(lease));
        Self::of(page, Some(Arc::clone(&lease.traffic)))
    }
}

impl From<TargetError> for Failure {
    fn from(error: TargetError) -> Self {
        let status = match error {
            TargetError::Connect => StatusCode::METHOD_NOT_ALLOWED,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::of(Page::new(status, "bad-target", error.to_string()), None)
    }
}

fn ask_logs(backend: &Backend) -> String {
    format!("see `kogge logs {}`", backend.instance.service)
}

/// An error with its causes, on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
