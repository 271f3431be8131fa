//! What an operator may turn.

use std::time::Duration;

use crate::network::Network;

/// The router's limits and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterConfig {
    /// Until a backend accepts a connection; then another one is tried.
    pub connect_timeout: Duration,
    /// From the last progress of a request until its response header, else 504.
    pub response_timeout: Duration,
    /// From the first byte of a request (or from connecting) until its header is complete, else the client is cut
    /// off.
    pub header_timeout: Duration,
    /// How long a client may keep a connection without a request.
    pub idle_timeout: Duration,
    /// How long a body may make no progress. Not for upgraded connections.
    pub stall_timeout: Duration,
    /// The largest request header, in bytes, at least 8 KiB; larger ones get a 431.
    pub max_header_bytes: usize,
    /// The largest response header, in bytes; larger ones become a 502.
    pub max_response_header_bytes: usize,
    /// Client connections, upgraded ones included; further ones get a 503.
    pub max_connections: usize,
    /// Requests at once on one HTTP/2 connection.
    pub max_streams: u32,
    /// Unused connections kept to each backend, by each of up to eight threads.
    pub max_idle_per_backend: usize,
    /// How long an unused connection to a backend is kept.
    pub upstream_idle_timeout: Duration,
    /// How long the others are preferred to a backend that refused a connection.
    pub avoid_refusing_for: Duration,
    /// Balancers in front of this one, whose `X-Forwarded-*` and `Forwarded` are believed. Everyone else's are
    /// replaced.
    pub trusted_proxies: Vec<Network>,
}

impl Default for RouterConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(60),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(600),
            max_header_bytes: 64 * 1024,
            max_response_header_bytes: 64 * 1024,
            max_connections: 8_192,
            max_streams: 128,
            max_idle_per_backend: 64,
            upstream_idle_timeout: Duration::from_secs(60),
            avoid_refusing_for: Duration::from_secs(2),
            trusted_proxies: Vec::new(),
        }
    }
}

impl RouterConfig {
    /// How often times are looked at: a tenth of the shortest one, within 10 ms and 500 ms. No time is kept more
    /// precisely than that, and no request pays for a timer of its own.
    #[must_use]
    pub fn tick(&self) -> Duration {
        let times = [self.response_timeout, self.header_timeout, self.idle_timeout, self.stall_timeout];
        let shortest = times.into_iter().min().unwrap_or_default();
        (shortest / 10).clamp(Duration::from_millis(10), Duration::from_millis(500))
    }
}
