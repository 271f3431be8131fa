//! The server's own certificate: made at each start for a key that is never kept, renewed at half of its life.

use std::sync::Arc;
use std::time::Duration;

use kogge_host::clock;
use thiserror::Error;

use super::config::ListenerConfig;
use super::ports::Signer;
use super::shared::Shared;
use crate::identity::{AuthorityError, Identity, IdentityError, KeyError, Peer, PeerError, PrivateKey, Role};
use crate::tls::Shown;

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

/// Keeps what is shown fresh, until the group ends.
pub(super) async fn keep_fresh(shared: Arc<Shared>, shown: Arc<Shown>, mut identity: Identity) {
    let token = shared.group.token();
    loop {
        let now = clock::now();
        let certificate = identity.certificate();
        // A clock that was set back makes it as useless as one that goes on.
        let is_due = now >= certificate.renewal_due() || now < certificate.not_before();
        let mut pause = certificate.renewal_due().saturating_since(now).min(LONGEST_SLEEP);
        if is_due {
            match issue(&*shared.ports.signer, identity.key(), &shared.config) {
                Ok(fresh) => match shown.replace(&fresh) {
                    Ok(()) => {
                        shared.identity.store(Arc::new(fresh.clone()));
                        identity = fresh;
                    }
                    Err(error) => tracing::error!(%error, "cannot use the server's new certificate"),
                },
                Err(error) => tracing::error!(%error, "cannot renew the server's certificate"),
            }
            pause = (shared.config.lifetime.validity / 16).min(LONGEST_SLEEP);
        }
        tokio::select! {
            () = token.cancelled() => return,
            () = tokio::time::sleep(pause.max(Duration::from_millis(10))) => {}
        }
    }
}
