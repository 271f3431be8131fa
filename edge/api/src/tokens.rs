//! The door beyond loopback: each request shows a token, whose name its caller has from then on.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderValue, header};
use kogge_control::Handle;
use kogge_control::access::Stranger;
use kogge_host::clock;
use kogge_model::time::Timestamp;

use crate::problem::Refused;

/// Where git is served. Git knows no other way than a name with a password, and no browser is led there.
const GIT: &str = "/git/";

const BEARER: &str = "Bearer realm=\"kogge\"";
const BASIC: &str = "Basic realm=\"kogge\", charset=\"UTF-8\"";

/// The connection a request came over.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) from: SocketAddr,
    /// Whether somebody has shown a good token on it.
    pub(crate) is_known: Arc<AtomicBool>,
}

/// Tells tokens, and how many were none.
pub(crate) struct Gate {
    handle: Handle,
    tries: Mutex<FailedTries>,
}

/// At most one line a second about tries that failed: nobody is to fill the disk with them.
#[derive(Debug, Default)]
struct FailedTries {
    told_at_secs: Option<u64>,
    untold: u64,
}

impl FailedTries {
    /// One more. How many others have not been told, if it is time to tell.
    fn count(&mut self, now: Timestamp) -> Option<u64> {
        let now_secs = now.as_micros() / 1_000_000;
        if self.told_at_secs == Some(now_secs) {
            self.untold += 1;
            return None;
        }
        self.told_at_secs = Some(now_secs);
        Some(std::mem::take(&mut self.untold))
    }
}

impl Gate {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle, tries: Mutex::default() }
    }

    /// Says who was not let in, without what they showed.
    fn note(&self, stranger: &Stranger, from: Option<SocketAddr>, path: &str) {
        let untold = self.tries.lock().unwrap_or_else(PoisonError::into_inner).count(clock::now());
        let from = from.map(|from| from.to_string()).unwrap_or_default();
        if let Some(others) = untold {
            tracing::warn!(from, path, reason = %stranger, others, "somebody was not let in");
        }
    }
}

/// Lets nobody through without a token.
pub(crate) async fn check(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    let is_git = request.uri().path().starts_with(GIT);
    let connection = request.extensions().get::<Connection>().cloned();
    let Some(shown) = shown(request.headers(), is_git) else {
        return refuse(
            Refused::unauthorized("this door asks for a token, and none was shown"),
            is_git,
            NO_TOKEN,
        );
    };
    match gate.handle.recognise(&shown) {
        Ok(caller) => {
            if let Some(connection) = connection {
                connection.is_known.store(true, Ordering::Relaxed);
            }
            // Whatever is behind this door has no use for it.
            request.headers_mut().remove(header::AUTHORIZATION);
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(stranger) => {
            gate.note(&stranger, connection.map(|connection| connection.from), request.uri().path());
            refuse(Refused::unauthorized(stranger.to_string()), is_git, stranger.hint())
        }
    }
}

const NO_TOKEN: &str = "name a file with one by --token-file, or put it into KOGGE_TOKEN; make one on a server: \
                        `kogge token create NAME`";

/// The text of the token: `Bearer TOKEN` (RFC 6750), for git also `Basic` with any name (RFC 7617).
fn shown(headers: &HeaderMap, is_git: bool) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !is_git || !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let plain = BASE64_STANDARD.decode(rest.trim()).ok()?;
    let (_, password) = std::str::from_utf8(&plain).ok()?.split_once(':')?;
    Some(password.to_owned())
}

fn refuse(refused: Refused, is_git: bool, hint: &str) -> Response {
    let refused = refused.with_hint(hint);
    let mut response = if is_git {
        // Git shows bodies of this type to the person who pushes.
        let problem = refused.problem();
        let text = format!("{}\nhint: {hint}\n", problem.detail);
        let plain = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        (http::StatusCode::UNAUTHORIZED, plain, text).into_response()
    } else {
        refused.into_response()
    };
    let challenge = HeaderValue::from_static(if is_git { BASIC } else { BEARER });
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str, is_git: bool) -> Option<String> {
        let headers = [(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())];
        shown(&HeaderMap::from_iter(headers), is_git)
    }

    #[test]
    fn failed_tries_are_told_once_a_second_and_none_is_lost() {
        let mut tries = FailedTries::default();
        let told: Vec<_> =
            [1, 1, 1, 2, 2, 5].map(|second| tries.count(Timestamp::from_secs(second))).into_iter().collect();
        assert_eq!(told, [Some(0), None, None, Some(2), None, Some(1)]);
    }

    #[test]
    fn a_bearer_shows_a_token_and_git_hides_it_in_a_password() {
        assert_eq!(read("Bearer a.b", false).as_deref(), Some("a.b"));
        assert_eq!(read("bearer  a.b ", true).as_deref(), Some("a.b"));
        // "x:a:b"
        assert_eq!(read("Basic eDphOmI=", true).as_deref(), Some("a:b"));
        assert_eq!(read("Basic eDphOmI=", false), None, "a browser would send it by itself, for any page");
        for bad in ["", "Bearer", "Basic !!!", "Basic eA==", "Digest a.b"] {
            assert_eq!(read(bad, true), None, "{bad}");
        }
    }
}
