//! How control is set up.

/// Settings that stay as they are while the process runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Services are offered at `NAME.<domain>`.
    pub domain: String,
    /// The port in the URLs that people are told; the router's door.
    pub router_port: u16,
    /// The URL of the API's door on loopback, for git.
    pub api_url: String,
    /// Whether no other server shares the state: then this one leads or does not start.
    pub is_alone: bool,
    /// The URL of its door with TLS, for those who come in there.
    pub api_tls_url: Option<String>,
    /// Revisions of the tree that are kept.
    pub keep_revisions: usize,
}
