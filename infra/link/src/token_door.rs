//! TLS for a door where tokens tell who somebody is: the API's, beyond loopback.
//!
//! Its certificate is the server's own, with names that git and curl look for. Clients are not even asked for one, so
//! whatever certificate an agent has opens nothing here.

use std::sync::Arc;

use kogge_host::clock;
use kogge_host::tasks::{OnPanic, TaskGroup};
use rustls::ServerConfig;

use crate::identity::{Authority, HostName, Identity, Lifetime, Peer, PrivateKey, Role};
use crate::listener::ServerCertificateError;
use crate::listener::certificate::keep_fresh;
use crate::tls::{self, Shown};

/// What stands in the certificate, and for how long.
#[derive(Debug, Clone)]
pub struct TokenDoor {
    /// The server's own id.
    pub server: String,
    /// Under which clients look for it.
    pub hosts: Vec<HostName>,
    /// How long a certificate is good for; the next one is made after half of it.
    pub lifetime: Lifetime,
}

/// What the door needs to speak TLS 1.3 (HTTP/2 or HTTP/1.1 inside), with a certificate of `authority` that is kept
/// fresh in `group`.
///
/// # Errors
/// When the server gets no certificate.
pub fn token_door(
    authority: Arc<Authority>,
    door: TokenDoor,
    group: &TaskGroup,
) -> Result<Arc<ServerConfig>, ServerCertificateError> {
    let identity = issue(&authority, &door, &PrivateKey::generate()?)?;
    let shown = Arc::new(Shown::new(&identity)?);
    let config = tls::token_door_config(Arc::clone(&shown))?;
    let issue = move |key: &PrivateKey| issue(&authority, &door, key);
    let keeping = keep_fresh(group.token(), identity, issue, move |fresh| shown.replace(fresh));
    group.spawn("certificate of the door for operators", OnPanic::StopGroup, keeping);
    Ok(Arc::new(config))
}

fn issue(
    authority: &Authority,
    door: &TokenDoor,
    key: &PrivateKey,
) -> Result<Identity, ServerCertificateError> {
    let peer = Peer::new(authority.certificate().cluster().clone(), Role::Server, &door.server)?;
    let request = key.signing_request()?;
    let certificate = authority.issue_for_hosts(&request, &peer, &door.hosts, clock::now(), door.lifetime)?;
    Ok(Identity::new(key.clone(), certificate, authority.certificate().clone())?)
}
