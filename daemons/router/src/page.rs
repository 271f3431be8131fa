//! The router's own answers: why there is no other one, and what to do.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};

use crate::proxy_body::ProxyBody;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_KOGGE_ERROR: HeaderName = HeaderName::from_static("x-kogge-error");

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    /// One word for programs, in `X-Kogge-Error`.
    pub(crate) word: &'static str,
    /// What is the case and why.
    pub(crate) why: String,
    /// What to do.
    pub(crate) hint: Option<String>,
}

impl Page {
    pub(crate) fn new(status: StatusCode, word: &'static str, why: impl Into<String>) -> Self {
        Self { status, word, why: why.into(), hint: None }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// As a response: HTML for browsers, else plain text.
    pub(crate) fn respond(&self, wants_html: bool, request_id: &[u8]) -> Response<ProxyBody> {
        let (body, kind) = if wants_html {
            (self.html(request_id), "text/html; charset=utf-8")
        } else {
            (self.text(request_id), "text/plain; charset=utf-8")
        };
        let mut response = Response::new(ProxyBody::full(Bytes::from(body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(X_KOGGE_ERROR, HeaderValue::from_static(self.word));
        if let Ok(id) = HeaderValue::from_bytes(request_id) {
            headers.insert(X_REQUEST_ID, id);
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    fn title(&self) -> String {
        format!("{} {}", self.status.as_u16(), self.status.canonical_reason().unwrap_or("Error"))
    }

    fn text(&self, request_id: &[u8]) -> String {
        let hint = self.hint.as_ref().map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
        let id = String::from_utf8_lossy(request_id);
        format!("{}\n{}\n\n{hint}request id: {id}\n", self.title(), self.why)
    }

    fn html(&self, request_id: &[u8]) -> String {
        let (title, why) = (self.title(), escaped(&self.why));
        let hint =
            self.hint.as_ref().map(|hint| format!("<p>Hint: {}</p>\n", escaped(hint))).unwrap_or_default();
        let id = escaped(&String::from_utf8_lossy(request_id));
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
             <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:15vh auto;padding:0 1em}}\
             small{{opacity:.6}}</style>\n\
             <h1>{title}</h1>\n<p>{why}</p>\n{hint}<p><small>Request id: <code>{id}</code></small></p>\n</html>\n"
        )
    }
}

/// Whether the client would rather see HTML.
pub(crate) fn wants_html(headers: &HeaderMap) -> bool {
    let is_html =
        |value: &HeaderValue| value.as_bytes().windows(9).any(|part| part.eq_ignore_ascii_case(b"text/html"));
    headers.get_all(header::ACCEPT).iter().any(is_html)
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_why_what_to_do_and_which_request() {
        let page = Page::new(StatusCode::NOT_FOUND, "no-route", "no <route>").with_hint("a & b");
        let text = page.text(b"id1");
        assert_eq!(text, "404 Not Found\nno <route>\n\nhint: a & b\nrequest id: id1\n");
        let html = page.html(b"id1");
        assert!(
            html.contains("<p>no &lt;route&gt;</p>") && html.contains("a &amp; b") && html.contains("id1")
        );
    }

    #[test]
    fn browsers_get_html() {
        let accept = |value| HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(value))]);
        assert!(wants_html(&accept("text/html,application/xhtml+xml")));
        assert!(!wants_html(&accept("*/*")) && !wants_html(&HeaderMap::new()));
    }
}
