//! Which servers to believe: those with a certificate of the authority whose fingerprint the token has.
//!
//! Names and addresses are not looked at: every server of the cluster may answer, wherever it is. The authority makes
//! certificates for other members, too, but only those of servers may be used to serve (RFC 5280 §4.2.1.12).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kogge_model::digest::Digest;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use thiserror::Error;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// Why a server is not believed: a sentence for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Untrusted {
    /// It shows another authority, or none.
    #[error("it is not of the cluster that gave out the token")]
    OtherCluster,
    /// It shows the right authority, which did not sign its certificate for serving.
    #[error("its certificate is not that of a server of the cluster")]
    NoServer,
    /// One of two clocks is wrong, most likely.
    #[error("its certificate is not valid at this time, {} s after 1970", .now.as_secs())]
    WrongTime {
        /// What time it is here, since 1970.
        now: Duration,
    },
}

impl Untrusted {
    /// What to do about it.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::OtherCluster => "check the address and the token: they belong to different clusters",
            Self::NoServer => "check the address: something else answers there",
            Self::WrongTime { .. } => {
                "set the clocks of both machines, for example with `timedatectl set-ntp true`"
            }
        }
    }
}

/// Believes servers of one authority only.
pub(crate) fn pinned(authority: Digest) -> Arc<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider speaks TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { authority, provider }))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// The authority of that fingerprint in a chain that was shown, as PEM (RFC 7468).
pub(crate) fn authority_pem(chain: &[CertificateDer<'_>], authority: Digest) -> Option<String> {
    let shown = chain.iter().find(|der| Digest::of(der) == authority)?;
    let text = BASE64_STANDARD.encode(shown);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    Some(format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n")))
}

/// The sentence inside an error of a handshake, if the server's certificate was the reason.
pub(crate) fn untrusted(error: &std::io::Error) -> Option<Untrusted> {
    match error.get_ref()?.downcast_ref::<Error>()? {
        Error::InvalidCertificate(CertificateError::Other(OtherError(why))) => why.downcast_ref().copied(),
        _ => None,
    }
}

#[derive(Debug)]
struct Pinned {
    authority: Digest,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    fn check(
        &self,
        server: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Untrusted> {
        let authority = chain.iter().find(|der| Digest::of(der) == self.authority);
        let authority = authority.ok_or(Untrusted::OtherCluster)?;
        let anchors = [anchor_from_trusted_cert(authority).map_err(|_| Untrusted::OtherCluster)?];
        let server = EndEntityCert::try_from(server).map_err(|_| Untrusted::NoServer)?;
        let algorithms = [webpki::ring::ECDSA_P256_SHA256];
        let verified =
            server.verify_for_usage(&algorithms, &anchors, &[], now, KeyUsage::server_auth(), None, None);
        match verified {
            Ok(_) => Ok(()),
            Err(webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. }) => {
                Err(Untrusted::WrongTime { now: Duration::from_secs(now.as_secs()) })
            }
            Err(_) => Err(Untrusted::NoServer),
        }
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let refused = |why| Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why))));
        self.check(end_entity, intermediates, now).map(|()| ServerCertVerified::assertion()).map_err(refused)
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
