//! The server's own certificate: made at each start for a key that is never kept, renewed at half of its life.

use std::time::Duration;

use kogge_host::clock;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::config::ListenerConfig;
use super::ports::Signer;
use crate::identity::{AuthorityError, Identity, IdentityError, KeyError, Peer, PeerError, PrivateKey, Role};

/// Between two looks at the clock, which may have been set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Why a server has no certificate.
#[derive(Debug, Error)]
pub enum ServerCertificateError {
    /// Its key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Its name.
    #[error(transparent)]
    Name(#[from] PeerError),
    /// Its authority.
    #[error(transparent)]
    Sign(#[from] AuthorityError),
    /// The two together.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// TLS does not take it.
    #[error("cannot use the server's certificate")]
    Tls(#[from] rustls::Error),
}

/// A certificate that is good from now on.
pub(super) fn issue(
    signer: &dyn Signer,
    key: &PrivateKey,
    config: &ListenerConfig,
) -> Result<Identity, ServerCertificateError> {
    let authority = signer.authority();
    let peer = Peer::new(authority.cluster().clone(), Role::Server, &config.server)?;
    let certificate = signer.sign(&key.signing_request()?, &peer, clock::now(), config.lifetime)?;
    Ok(Identity::new(key.clone(), certificate, authority.clone())?)
}

/// Keeps what is shown fresh, until the token ends it: at half of its life `issue` makes the next one, for the same
/// key, and `show` is told.
pub(crate) async fn keep_fresh(
    token: CancellationToken,
    mut identity: Identity,
    issue: impl Fn(&PrivateKey) -> Result<Identity, ServerCertificateError>,
    show: impl Fn(&Identity) -> Result<(), rustls::Error>,
) {
    loop {
        let now = clock::now();
        let certificate = identity.certificate();
        // A clock that was set back makes it as useless as one that goes on.
        let is_due = now >= certificate.renewal_due() || now < certificate.not_before();
        let life = certificate.not_after().saturating_since(certificate.not_before());
        let mut pause = certificate.renewal_due().saturating_since(now).min(LONGEST_SLEEP);
        if is_due {
            match issue(identity.key()) {
                Ok(fresh) => match show(&fresh) {
                    Ok(()) => identity = fresh,
                    Err(error) => tracing::error!(%error, "cannot use the server's new certificate"),
                },
                Err(error) => tracing::error!(%error, "cannot renew the server's certificate"),
            }
            pause = (life / 16).min(LONGEST_SLEEP);
        }
        tokio::select! {
            () = token.cancelled() => return,
            () = tokio::time::sleep(pause.max(Duration::from_millis(10))) => {}
        }
    }
}
