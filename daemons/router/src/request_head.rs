//! The request header as it goes to the backend.
//!
//! Fields are copied from the client's map straight into the bytes to send: what must not pass is left out, what is
//! ours is written, and nothing the client says about framing is repeated (RFC 9110 §7.6.1).

use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, Version};
use hyper::body::{Body, Incoming};

use crate::forwarded::{self, Origin};
use crate::target::Target;
use crate::upstream::framing::{Framing, content_length, members};

/// What the client asked of the connection itself.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// To become this protocol: the value of `Upgrade`.
    pub(crate) upgrade: Option<HeaderValue>,
    /// To hear `100 Continue` before it sends the body.
    pub(crate) expects_continue: bool,
    accepts_trailers: bool,
    /// Fields that `Connection` binds to this hop.
    nominated: Vec<HeaderName>,
}

impl Wishes {
    pub(crate) fn of(parts: &Parts, framing: Framing) -> Self {
        let headers = &parts.headers;
        let mut wishes = Self::default();
        let mut wants_upgrade = false;
        for option in headers.get_all(header::CONNECTION).iter().flat_map(|value| members(value.as_bytes())) {
            if option.eq_ignore_ascii_case(b"upgrade") {
                wants_upgrade = true;
            } else if !(option.eq_ignore_ascii_case(b"keep-alive") || option.eq_ignore_ascii_case(b"close"))
                && let Ok(name) = HeaderName::from_bytes(option)
            {
                wishes.nominated.push(name);
            }
        }
        let is_http11 = parts.version == Version::HTTP_11;
        wishes.expects_continue = is_http11
            && framing != Framing::Empty
            && headers
                .get(header::EXPECT)
                .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        wishes.accepts_trailers = headers
            .get_all(header::TE)
            .iter()
            .any(|value| members(value.as_bytes()).any(|coding| coding.eq_ignore_ascii_case(b"trailers")));
        if wants_upgrade && is_http11 && framing == Framing::Empty {
            wishes.upgrade = headers.get(header::UPGRADE).filter(|value| may_upgrade_to(value)).cloned();
        }
        wishes
    }
}

/// Not to another form of HTTP, through which requests would pass unseen by routing and hygiene, nor to TLS.
fn may_upgrade_to(value: &HeaderValue) -> bool {
    let is_allowed = |protocol: &[u8]| {
        let name = protocol.split(|&b| b == b'/').next().unwrap_or(protocol);
        ![&b"h2c"[..], b"h2", b"http", b"tls"].iter().any(|taboo| name.eq_ignore_ascii_case(taboo))
    };
    !value.is_empty() && members(value.as_bytes()).all(is_allowed)
}

/// How the body will be framed towards the backend: by its true form, not by what the client's header says.
pub(crate) fn framing(parts: &Parts, body: &Incoming) -> Framing {
    if body.is_end_stream() {
        let may_have_body = matches!(parts.method, Method::POST | Method::PUT | Method::PATCH);
        let says_zero = parts
            .headers
            .get(header::CONTENT_LENGTH)
            .is_some_and(|value| content_length(value.as_bytes()) == Some(0));
        return if may_have_body || says_zero { Framing::Length(0) } else { Framing::Empty };
    }
    body.size_hint().exact().map_or(Framing::Chunked, Framing::Length)
}

/// Writes the whole header.
pub(crate) fn write(
    parts: &Parts,
    target: &Target<'_>,
    framing: Framing,
    wishes: &Wishes,
    origin: &Origin,
    request_id: &[u8],
) -> Vec<u8> {
    let mut head = Vec::with_capacity(1024);
    for part in
        [parts.method.as_str(), " ", target.path_and_query, " HTTP/1.1\r\nhost: ", target.authority, "\r\n"]
    {
        head.extend_from_slice(part.as_bytes());
    }
    write_fields(&parts.headers, &wishes.nominated, &mut head);
    if parts.version == Version::HTTP_2 {
        write_cookies(&parts.headers, &mut head);
    } else {
        parts
            .headers
            .get_all(header::COOKIE)
            .iter()
            .for_each(|value| line(&mut head, b"cookie", value.as_bytes()));
    }
    origin.write(&parts.headers, target.authority, &mut head);
    line(&mut head, b"x-request-id", request_id);
    if wishes.accepts_trailers {
        line(&mut head, b"te", b"trailers");
    }
    match framing {
        Framing::Empty | Framing::UntilClose => {}
        Framing::Length(length) => line(&mut head, b"content-length", length.to_string().as_bytes()),
        Framing::Chunked => line(&mut head, b"transfer-encoding", b"chunked"),
    }
    if wishes.expects_continue {
        line(&mut head, b"expect", b"100-continue");
    }
    if let Some(protocol) = &wishes.upgrade {
        line(&mut head, b"connection", b"upgrade");
        line(&mut head, b"upgrade", protocol.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head
}

fn line(head: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    head.extend_from_slice(name);
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

fn write_fields(headers: &HeaderMap, nominated: &[HeaderName], head: &mut Vec<u8>) {
    for (name, value) in headers {
        if passes(name) && !nominated.contains(name) {
            line(head, name.as_str().as_bytes(), value.as_bytes());
        }
    }
}

/// HTTP/2 may split cookies over fields; HTTP/1.1 wants one (RFC 9113 §8.2.3).
fn write_cookies(headers: &HeaderMap, head: &mut Vec<u8>) {
    let cookies: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if !cookies.is_empty() {
        line(head, b"cookie", &cookies.join(&b"; "[..]));
    }
}

/// Whether a client's field goes on as it is.
fn passes(name: &HeaderName) -> bool {
    match *name {
        header::HOST
        | header::COOKIE
        | header::CONNECTION
        | header::CONTENT_LENGTH
        | header::TRANSFER_ENCODING
        | header::TE
        | header::UPGRADE
        | header::EXPECT
        | header::FORWARDED
        | header::PROXY_AUTHENTICATE
        | header::PROXY_AUTHORIZATION => false,
        // `Proxy` would become HTTP_PROXY in CGI programs.
        _ => match name.as_str() {
            "keep-alive" | "proxy-connection" | "proxy" | "http2-settings" | "x-request-id" => false,
            name => !forwarded::is_ours(name),
        },
    }
}
