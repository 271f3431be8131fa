//! A backend's response header.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use thiserror::Error;

use crate::upstream::framing::{Framing, content_length, members};

/// Most fields a response may have.
const MAX_FIELDS: usize = 128;

/// A parsed header, with the fields that may be passed on.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) framing: Framing,
    /// Whether another request may follow on the connection.
    pub(crate) is_persistent: bool,
    /// `Keep-Alive: timeout=…`, in ms.
    pub(crate) max_idle_ms: Option<u64>,
}

/// A response header that is none, or that two parsers could read differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum HeadError {
    #[error("its response header is malformed")]
    Syntax,
    #[error("its response has an invalid status")]
    Status,
    #[error("its response has a content-length that is no number, or two different ones")]
    Length,
    #[error("its response has a transfer coding other than chunked")]
    Coding,
}

/// Parses the beginning of `read`; gives the header and how many bytes it took, or none while it is not whole.
/// `spare` is an empty map whose memory is used again.
pub(crate) fn parse(
    read: &Bytes,
    method: &Method,
    spare: &mut HeaderMap,
) -> Result<Option<(ResponseHead, usize)>, HeadError> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    let status = parser.parse_response_with_uninit_headers(&mut response, read, &mut fields);
    let length = match status {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(HeadError::Syntax),
    };
    let code = response.code.ok_or(HeadError::Status)?;
    let status = StatusCode::from_u16(code).map_err(|_| HeadError::Status)?;
    let mut reader = FieldReader::new(std::mem::take(spare), response.version == Some(1));
    reader.headers.reserve(response.headers.len());
    for field in response.headers.iter() {
        reader.take(read, field)?;
    }
    Ok(Some((reader.finish(status, method)?, length)))
}

/// Goes through the fields once, keeping those for the client and noting those for us.
struct FieldReader {
    headers: HeaderMap,
    is_http11: bool,
    length: Option<u64>,
    is_chunked: bool,
    says_close: bool,
    says_keep_alive: bool,
    max_idle_ms: Option<u64>,
    nominated: Vec<HeaderName>,
    upgrade: Option<HeaderValue>,
}

impl FieldReader {
    const fn new(headers: HeaderMap, is_http11: bool) -> Self {
        Self {
            headers,
            is_http11,
            length: None,
            is_chunked: false,
            says_close: false,
            says_keep_alive: false,
            max_idle_ms: None,
            nominated: Vec::new(),
            upgrade: None,
        }
    }

    fn take(&mut self, read: &Bytes, field: &httparse::Header<'_>) -> Result<(), HeadError> {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| HeadError::Syntax)?;
        match name {
            header::CONTENT_LENGTH => {
                let length = content_length(field.value).ok_or(HeadError::Length)?;
                match self.length {
                    Some(known) if known != length => return Err(HeadError::Length),
                    Some(_) => return Ok(()),
                    None => self.length = Some(length),
                }
            }
            header::TRANSFER_ENCODING => {
                // More than one coding, or chunked twice, would need us to decode what we pass on.
                let is_plain = field.value.trim_ascii().eq_ignore_ascii_case(b"chunked");
                if !is_plain || self.is_chunked || !self.is_http11 {
                    return Err(HeadError::Coding);
                }
                self.is_chunked = true;
                return Ok(());
            }
            header::CONNECTION => {
                self.take_connection(field.value);
                return Ok(());
            }
            header::TE | header::PROXY_AUTHENTICATE | header::PROXY_AUTHORIZATION => return Ok(()),
            _ => {}
        }
        let value =
            HeaderValue::from_maybe_shared(read.slice_ref(field.value)).map_err(|_| HeadError::Syntax)?;
        match name {
            header::UPGRADE => self.upgrade = Some(value),
            _ if name == KEEP_ALIVE => self.max_idle_ms = keep_alive_timeout_ms(field.value),
            _ if name == PROXY_CONNECTION => {}
            _ => _ = self.headers.append(name, value),
        }
        Ok(())
    }

    fn take_connection(&mut self, value: &[u8]) {
        for option in members(value) {
            if option.eq_ignore_ascii_case(b"close") {
                self.says_close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.says_keep_alive = true;
            } else if let Ok(name) = HeaderName::from_bytes(option) {
                self.nominated.push(name);
            }
        }
    }

    fn finish(mut self, status: StatusCode, method: &Method) -> Result<ResponseHead, HeadError> {
        for name in self.nominated.iter().filter(|&name| name != header::CONTENT_LENGTH) {
            self.headers.remove(name);
        }
        // Both at once is how responses get split; the connection is not used again (RFC 9112 §6.3).
        let is_ambiguous = self.is_chunked && self.length.is_some();
        let has_no_body = status.is_informational() || status == StatusCode::NO_CONTENT;
        let framing = match (self.is_chunked, self.length) {
            _ if has_no_body || status == StatusCode::NOT_MODIFIED || method == Method::HEAD => {
                Framing::Empty
            }
            (true, _) => Framing::Chunked,
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::UntilClose,
        };
        // A 304 may carry the length that a 200 would have; nobody needs it, and servers stumble over it.
        let may_tell_length = !self.is_chunked && !has_no_body && status != StatusCode::NOT_MODIFIED;
        if self.length.is_some() && !may_tell_length {
            self.headers.remove(header::CONTENT_LENGTH);
        }
        if status == StatusCode::SWITCHING_PROTOCOLS {
            self.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            self.headers.insert(header::UPGRADE, self.upgrade.take().ok_or(HeadError::Status)?);
        }
        let is_persistent =
            if self.is_http11 { !self.says_close } else { self.says_keep_alive && !self.says_close };
        Ok(ResponseHead {
            status,
            headers: self.headers,
            framing,
            is_persistent: is_persistent && !is_ambiguous && framing != Framing::UntilClose,
            max_idle_ms: self.max_idle_ms,
        })
    }
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// `timeout=5, max=100` in ms, less a second so that we give up first.
fn keep_alive_timeout_ms(value: &[u8]) -> Option<u64> {
    let seconds = members(value).find_map(|member| content_length(member.strip_prefix(b"timeout=")?))?;
    Some(seconds.saturating_sub(1).saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str, method: &Method) -> Result<ResponseHead, HeadError> {
        let text = text.replace('\n', "\r\n");
        let read = Bytes::from(text.clone());
        let (head, length) = parse(&read, method, &mut HeaderMap::new())?.expect("the header is whole");
        assert_eq!(length, text.len());
        Ok(head)
    }

    #[test]
    fn framing_follows_method_status_and_fields() {
        for (method, text, framing, is_persistent) in [
            (Method::GET, "HTTP/1.1 200 OK\nContent-Length: 3\n\n", Framing::Length(3), true),
            (
                Method::GET,
                "HTTP/1.1 200 OK\nContent-Length: 3\nContent-Length: 3\n\n",
                Framing::Length(3),
                true,
            ),
            (Method::HEAD, "HTTP/1.1 200 OK\nContent-Length: 3\n\n", Framing::Empty, true),
            (Method::GET, "HTTP/1.1 304 Not Modified\nContent-Length: 3\n\n", Framing::Empty, true),
            (Method::GET, "HTTP/1.1 204 No Content\n\n", Framing::Empty, true),
            (Method::GET, "HTTP/1.1 200 OK\nTransfer-Encoding: Chunked\n\n", Framing::Chunked, true),
            (Method::GET, "HTTP/1.1 200 OK\n\n", Framing::UntilClose, false),
            (
                Method::GET,
                "HTTP/1.1 200 OK\nConnection: close\nContent-Length: 0\n\n",
                Framing::Length(0),
                false,
            ),
            (Method::GET, "HTTP/1.0 200 OK\nContent-Length: 0\n\n", Framing::Length(0), false),
            (
                Method::GET,
                "HTTP/1.0 200 OK\nConnection: keep-alive\nContent-Length: 0\n\n",
                Framing::Length(0),
                true,
            ),
            (
                Method::GET,
                "HTTP/1.1 200 OK\nContent-Length: 3\nTransfer-Encoding: chunked\n\n",
                Framing::Chunked,
                false,
            ),
        ] {
            let head = head(text, &method).unwrap();
            assert_eq!((head.framing, head.is_persistent), (framing, is_persistent), "{method} {text}");
        }
    }

    #[test]
    fn hop_by_hop_fields_stay_behind() {
        let text = "HTTP/1.1 200 OK\nConnection: X-Hop, Keep-Alive\nX-Hop: 1\nKeep-Alive: timeout=5, max=9\n\
                    Upgrade: h2c\nProxy-Connection: x\nTE: x\nContent-Length: 0\nSet-Cookie: a\nSet-Cookie: b\n\n";
        let head = head(text, &Method::GET).unwrap();
        let mut names: Vec<&str> = head.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-length", "set-cookie"]);
        assert_eq!(head.headers.get_all("set-cookie").iter().count(), 2);
        assert_eq!(head.max_idle_ms, Some(4_000));
    }

    #[test]
    fn what_could_split_a_response_is_refused() {
        for (text, error) in [
            ("HTTP/1.1 200 OK\nContent-Length: 3\nContent-Length: 4\n\n", HeadError::Length),
            ("HTTP/1.1 200 OK\nContent-Length: +3\n\n", HeadError::Length),
            ("HTTP/1.1 200 OK\nTransfer-Encoding: gzip, chunked\n\n", HeadError::Coding),
            (
                "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n",
                HeadError::Coding,
            ),
            ("HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n", HeadError::Coding),
            ("HTTP/1.1 200 OK\nA: b\n folded\n\n", HeadError::Syntax),
            ("HTTP/1.1 200 OK\nA : b\n\n", HeadError::Syntax),
            ("HTTP/1.1 099 OK\n\n", HeadError::Status),
            ("HTTP/1.1 101 Switching Protocols\n\n", HeadError::Status),
            ("SMTP/1.1 200 OK\n\n", HeadError::Syntax),
        ] {
            assert_eq!(head(text, &Method::GET).map(|head| head.status), Err(error), "{text}");
        }
    }

    proptest::proptest! {
        /// Whatever a backend sends: no panic, and what passes has no field of this hop and no line break.
        #[test]
        fn any_bytes_are_a_clean_header_or_an_error(
            fields in proptest::collection::vec(proptest::sample::select(vec![
                "content-length: 1", "content-length: 2", "transfer-encoding: chunked", "connection: x, close", "x: y",
                "upgrade: z", "keep-alive: timeout=1", "\tfolded", "a b: c", "x: \0", "x: \u{e4}", ": empty", "", "\n",
            ]), 0..8),
            noise in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..20),
        ) {
            let mut bytes = format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n", fields.join("\r\n")).into_bytes();
            bytes.extend_from_slice(&noise);
            for read in [Bytes::from(bytes), Bytes::from(noise)] {
                let Ok(Some((head, length))) = parse(&read, &Method::GET, &mut HeaderMap::new()) else { continue };
                proptest::prop_assert!(length <= read.len());
                for hop in ["connection", "transfer-encoding", "upgrade", "keep-alive"] {
                    proptest::prop_assert!(!head.headers.contains_key(hop));
                }
                let is_plain = |value: &HeaderValue| !value.as_bytes().iter().any(|b| matches!(b, b'\r' | b'\n' | 0));
                proptest::prop_assert!(head.headers.values().all(is_plain));
            }
        }
    }
}
