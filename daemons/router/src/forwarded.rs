//! Telling the backend who asked and how: `X-Forwarded-*`, and `Forwarded` (RFC 7239) where one is passed on.
//!
//! What a client claims is dropped, unless the client is a trusted proxy; then our part is appended.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};

use crate::client_connection::Scheme;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// Where a connection's requests come from, put into words once.
#[derive(Debug)]
pub(crate) struct Origin {
    is_trusted: bool,
    peer: IpAddr,
    port: String,
    scheme: Scheme,
    /// The lines that are the same for every request of an untrusted client.
    lines: Box<[u8]>,
}

impl Origin {
    pub(crate) fn new(peer: SocketAddr, local: SocketAddr, scheme: Scheme, is_trusted: bool) -> Self {
        let (peer, port) = (peer.ip().to_canonical(), local.port().to_string());
        let lines = format!(
            "x-forwarded-for: {peer}\r\nx-forwarded-proto: {}\r\nx-forwarded-port: {port}\r\n",
            scheme.as_str()
        );
        Self { is_trusted, peer, port, scheme, lines: lines.into_bytes().into_boxed_slice() }
    }

    /// Writes our lines, on top of what a trusted proxy said in `headers`.
    pub(crate) fn write(&self, headers: &HeaderMap, authority: &str, into: &mut Vec<u8>) {
        if self.is_trusted {
            self.write_appended(headers, authority, into);
        } else {
            into.extend_from_slice(&self.lines);
            write_line(into, b"x-forwarded-host", &[authority.as_bytes()]);
        }
    }

    fn write_appended(&self, headers: &HeaderMap, authority: &str, into: &mut Vec<u8>) {
        let peer = self.peer.to_string();
        let mut chain: Vec<&[u8]> =
            headers.get_all(&X_FORWARDED_FOR).iter().map(HeaderValue::as_bytes).collect();
        chain.push(peer.as_bytes());
        write_line(into, b"x-forwarded-for", &chain);
        let said = |name: &HeaderName| headers.get(name).map(HeaderValue::as_bytes);
        for (name, own) in [
            (&X_FORWARDED_PROTO, self.scheme.as_str()),
            (&X_FORWARDED_PORT, self.port.as_str()),
            (&X_FORWARDED_HOST, authority),
        ] {
            write_line(into, name.as_str().as_bytes(), &[said(name).unwrap_or(own.as_bytes())]);
        }
        let mut elements: Vec<&[u8]> =
            headers.get_all(header::FORWARDED).iter().map(HeaderValue::as_bytes).collect();
        if !elements.is_empty() {
            // RFC 7239 §6: an IPv6 address is bracketed and quoted; §4: so is a host with a port.
            let node = if self.peer.is_ipv6() { format!("\"[{peer}]\"") } else { peer };
            let own = format!("for={node};host=\"{authority}\";proto={}", self.scheme.as_str());
            elements.push(own.as_bytes());
            write_line(into, b"forwarded", &elements);
        }
    }
}

/// Whether a request's field is replaced by ours. Also in the spellings that programs which turn field names into
/// variables (CGI and its heirs) cannot tell from it.
pub(crate) fn is_ours(name: &str) -> bool {
    const OURS: [&str; 8] = [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-forwarded-server",
        "x-forwarded-ssl",
        "x-real-ip",
    ];
    let is_same = |ours: &&str| {
        let pairs = ours.bytes().zip(name.bytes());
        ours.len() == name.len()
            && pairs.into_iter().all(|(ours, b)| ours == b || (ours == b'-' && b == b'_'))
    };
    matches!(name.as_bytes().first(), Some(b'x' | b'f')) && OURS.iter().any(is_same)
}

fn write_line(into: &mut Vec<u8>, name: &[u8], values: &[&[u8]]) {
    into.extend_from_slice(name);
    into.extend_from_slice(b": ");
    for (position, value) in values.iter().enumerate() {
        if position > 0 {
            into.extend_from_slice(b", ");
        }
        into.extend_from_slice(value);
    }
    into.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(is_trusted: bool, peer: &str, fields: &[(&'static str, &'static str)]) -> String {
        let origin =
            Origin::new(peer.parse().unwrap(), "127.0.0.1:80".parse().unwrap(), Scheme::Http, is_trusted);
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let mut lines = Vec::new();
        origin.write(&headers, "a.x:80", &mut lines);
        String::from_utf8(lines).unwrap().replace("\r\n", "\n")
    }

    #[test]
    fn a_clients_claims_are_not_believed() {
        let lines =
            written(false, "10.0.0.9:5", &[("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=1.1.1.1")]);
        let wanted = "x-forwarded-for: 10.0.0.9\nx-forwarded-proto: http\nx-forwarded-port: 80\nx-forwarded-host: a.x:80\n";
        assert_eq!(lines, wanted);
    }

    #[test]
    fn a_trusted_proxys_claims_are_kept_and_continued() {
        let fields = [
            ("x-forwarded-for", "1.1.1.1, 2.2.2.2"),
            ("x-forwarded-for", "3.3.3.3"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=1.1.1.1"),
        ];
        let lines = written(true, "[fd00::9]:5", &fields);
        assert!(lines.contains("x-forwarded-for: 1.1.1.1, 2.2.2.2, 3.3.3.3, fd00::9\n"), "{lines}");
        assert!(lines.contains("x-forwarded-proto: https\nx-forwarded-port: 80\nx-forwarded-host: a.x:80\n"));
        let forwarded = "forwarded: for=1.1.1.1, for=\"[fd00::9]\";host=\"a.x:80\";proto=http\n";
        assert!(lines.contains(forwarded), "{lines}");
    }

    #[test]
    fn look_alikes_are_ours_too() {
        for name in ["x-forwarded-for", "x_forwarded_for", "x-forwarded_proto", "forwarded", "x-real-ip"] {
            assert!(is_ours(name), "{name}");
        }
        for name in ["x-forwarded", "x-forwarded-fort", "xforwardedfor", "accept", ""] {
            assert!(!is_ours(name), "{name}");
        }
    }
}
