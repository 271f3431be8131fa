//! TLS 1.3 between members. Certificates are judged by [`crate::identity`], not by names of hosts.
//!
//! The server asks for a certificate and demands proof of its key, but lets everybody finish the handshake: a joining
//! agent has no certificate yet, and whoever shows a bad one is told why by a sentence instead of an alert. No call
//! but `Join` is answered before [`AuthorityCertificate::verify`].

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use kogge_model::digest::Digest;
use kogge_model::time::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    ServerConfig, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::identity::{AuthorityCertificate, Identity, Look, Role, Untrusted};

/// HTTP/2 (RFC 7301 §6).
const ALPN: &[u8] = b"h2";
/// HTTP/1.1.
const ALPN_HTTP1: &[u8] = b"http/1.1";

/// Whom a client believes to be a server.
#[derive(Debug, Clone)]
pub(crate) enum Trust {
    /// Servers of its own cluster.
    Cluster(AuthorityCertificate),
    /// Servers that show an authority of this fingerprint.
    Pinned(Digest),
}

/// The certificate a server shows now.
#[derive(Debug)]
pub(crate) struct Shown(ArcSwap<CertifiedKey>);

impl Shown {
    pub(crate) fn new(identity: &Identity) -> Result<Self, Error> {
        Ok(Self(ArcSwap::from_pointee(certified(identity)?)))
    }

    pub(crate) fn replace(&self, identity: &Identity) -> Result<(), Error> {
        self.0.store(Arc::new(certified(identity)?));
        Ok(())
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// The chain names the authority too: a joining agent compares it with its token.
fn certified(identity: &Identity) -> Result<CertifiedKey, Error> {
    let chain = vec![identity.certificate().der().clone(), identity.authority().der().clone()];
    let key = ring::default_provider().key_provider.load_private_key(identity.key().to_der())?;
    Ok(CertifiedKey::new(chain, key))
}

pub(crate) fn server_config(shown: Arc<Shown>) -> Result<ServerConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(AskForProof { provider }))
        .with_cert_resolver(shown);
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A resumed connection would skip looking at certificates.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// For a door that asks for tokens instead of certificates.
pub(crate) fn token_door_config(shown: Arc<Shown>) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(shown);
    config.alpn_protocols = vec![ALPN.to_vec(), ALPN_HTTP1.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

pub(crate) fn client_config(trust: Trust, identity: Option<&Identity>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(CheckServer { trust, provider }));
    let mut config = match identity {
        Some(identity) => {
            let chain = vec![identity.certificate().der().clone()];
            config.with_client_auth_cert(chain, identity.key().to_der())?
        }
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_sni = false;
    Ok(config)
}

/// The sentence inside an error of a handshake, if the other side's certificate was the reason.
pub(crate) fn untrusted(error: &std::io::Error) -> Option<Untrusted> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(why))) => why.downcast_ref().cloned(),
        _ => None,
    }
}

/// Any certificate will do here, but its key must be there.
#[derive(Debug)]
struct AskForProof {
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AskForProof {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3 is spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Believes members who may act as servers, whatever address they are at.
#[derive(Debug)]
struct CheckServer {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl CheckServer {
    fn check(
        &self,
        end_entity: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Result<(), Untrusted> {
        let look = Look { wanted: Role::Server, here: Role::Agent, now };
        let pinned;
        let authority = match &self.trust {
            Trust::Cluster(authority) => authority,
            Trust::Pinned(fingerprint) => {
                let shown = chain.iter().find(|der| Digest::of(der) == *fingerprint);
                let shown = shown.ok_or(Untrusted::OtherThanPinned)?;
                pinned = AuthorityCertificate::from_der(shown.clone().into_owned())?;
                &pinned
            }
        };
        authority.verify(end_entity, look).map(drop)
    }
}

impl ServerCertVerifier for CheckServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let now = Timestamp::ZERO.plus(Duration::from_secs(now.as_secs()));
        let checked = self.check(end_entity, intermediates, now);
        let refused = |why| Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why))));
        checked.map(|()| ServerCertVerified::assertion()).map_err(refused)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3 is spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
