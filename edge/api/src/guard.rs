//! Keeps browsers from being used against a door.
//!
//! A page anywhere can make its reader's browser send requests to 127.0.0.1, or have its own name resolve to it
//! (DNS rebinding). Neither can forge `Host` or `Origin`: so `Host` must be a name of loopback, and a request that
//! comes from a page must come from a page of this very door. Whoever has shown a token has asked for the right host:
//! no other one's browser knows it.

use std::net::IpAddr;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, header};

use kogge_model::caller::Caller;

use crate::caller::Asking;
use crate::problem::Refused;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Lets only callers in, and only requests that no foreign page can have made.
pub fn guard(router: Router) -> Router {
    router.layer(from_fn(check))
}

async fn check(asking: Result<Asking, Refused>, request: Request, next: Next) -> Response {
    let has_token = request.extensions().get::<Caller>().is_some();
    let checked = asking.and_then(|_| {
        let host = host(&request);
        if has_token {
            return check_page(request.headers(), &format!("https://{host}"));
        }
        check_host(host).and_then(|()| check_page(request.headers(), &format!("http://{host}")))
    });
    match checked {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

/// The authority that was asked for. HTTP/2 has it in the target, HTTP/1.1 in `Host`.
fn host(request: &Request) -> &str {
    let header = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    header.or_else(|| request.uri().authority().map(Authority::as_str)).unwrap_or_default()
}

/// It must be one of loopback.
fn check_host(host: &str) -> Result<(), Refused> {
    if host.parse::<Authority>().is_ok_and(|authority| is_loopback(authority.host())) {
        return Ok(());
    }
    Err(Refused::misdirected(format!("this API is not called {host:?}"))
        .with_hint("use http://127.0.0.1 or http://localhost with the API's port"))
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// `own` is where pages of this very door come from.
fn check_page(headers: &HeaderMap, own: &str) -> Result<(), Refused> {
    let refused = || Err(Refused::forbidden("a page of another site must not use this API"));
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str());
    if origin.is_some_and(|origin| !origin.is_ok_and(|origin| origin.eq_ignore_ascii_case(own))) {
        return refused();
    }
    match headers.get(SEC_FETCH_SITE).map(|site| site.as_bytes()) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => refused(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn check(host: &str, origin: Option<&str>, site: Option<&str>) -> bool {
        let mut request = http::Request::builder().uri("/api/v1/apps").header(header::HOST, host);
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        if let Some(site) = site {
            request = request.header(SEC_FETCH_SITE, site);
        }
        let request = request.body(Body::empty()).unwrap();
        let host = super::host(&request);
        check_host(host).and_then(|()| check_page(request.headers(), &format!("http://{host}"))).is_ok()
    }

    #[test]
    fn only_names_of_loopback_are_answered_to() {
        for host in ["127.0.0.1:7400", "localhost:7400", "LOCALHOST", "[::1]:7400", "127.9.9.9"] {
            assert!(check(host, None, None), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:7400",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "a b",
            "hello.localhost:7400",
            "0.0.0.0",
        ] {
            assert!(!check(host, None, None), "{host}");
        }
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let host = "localhost:7400";
        assert!(check(host, Some("http://localhost:7400"), Some("same-origin")));
        assert!(check(host, None, Some("none")), "typed into the address bar");
        for (origin, site) in [
            (Some("http://evil.example"), None),
            (Some("null"), None),
            (Some("http://localhost:8080"), None),
            (Some("http://hello.localhost"), Some("same-site")),
            (None, Some("cross-site")),
            (None, Some("same-site")),
        ] {
            assert!(!check(host, origin, site), "{origin:?} {site:?}");
        }
    }
}
