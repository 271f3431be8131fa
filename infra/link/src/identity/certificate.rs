//! A member's certificate, taken apart.

use kogge_model::digest::Digest;
use kogge_model::time::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use thiserror::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use super::peer::Peer;

/// X.509 with one member's name in it. That it can be read says nothing about who signed it: see
/// [`AuthorityCertificate::verify`](super::AuthorityCertificate::verify).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: CertificateDer<'static>,
    peer: Peer,
    not_before: Timestamp,
    not_after: Timestamp,
    key: Digest,
}

/// Why something is no certificate of ours.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// Not even X.509.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// One of other software.
    #[error("the certificate names no member of a cluster")]
    Nameless,
}

impl Certificate {
    /// Reads DER.
    ///
    /// # Errors
    /// When it is no certificate, or one without a member's name.
    pub fn from_der(der: CertificateDer<'static>) -> Result<Self, CertificateError> {
        let parsed = parse(&der)?;
        let [peer] = &uris(&parsed)[..] else { return Err(CertificateError::Nameless) };
        let peer = peer.parse().map_err(|_| CertificateError::Nameless)?;
        let not_before = timestamp(parsed.validity().not_before);
        let not_after = timestamp(parsed.validity().not_after);
        let key = Digest::of(parsed.public_key().raw);
        Ok(Self { peer, not_before, not_after, key, der })
    }

    /// Reads PEM.
    ///
    /// # Errors
    /// As [`Certificate::from_der`].
    pub fn from_pem(pem: &str) -> Result<Self, CertificateError> {
        Self::from_der(der_of(pem)?)
    }

    /// As PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem_of(&self.der)
    }

    /// As it travels.
    #[must_use]
    pub const fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// Whom it names.
    #[must_use]
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Its first moment; some time before it was made, for clocks that are late.
    #[must_use]
    pub const fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Its last moment.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The digest of the key it is for (SubjectPublicKeyInfo, DER).
    #[must_use]
    pub const fn key_fingerprint(&self) -> Digest {
        self.key
    }

    /// Half of its life: time for the next one.
    #[must_use]
    pub fn renewal_due(&self) -> Timestamp {
        self.not_before.plus(self.not_after.saturating_since(self.not_before) / 2)
    }
}

pub(super) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    match X509Certificate::from_der(der) {
        Ok(([], parsed)) => Ok(parsed),
        Ok(_) | Err(_) => Err(CertificateError::Unreadable),
    }
}

/// The URIs among the subject's alternative names.
pub(super) fn uris<'a>(parsed: &'a X509Certificate<'_>) -> Vec<&'a str> {
    let names = parsed.extensions().iter().flat_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => names.general_names.as_slice(),
        _ => &[],
    });
    let uri = |name: &'a GeneralName<'_>| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    };
    names.filter_map(uri).collect()
}

pub(super) fn der_of(pem: &str) -> Result<CertificateDer<'static>, CertificateError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| CertificateError::Unreadable)
}

pub(super) fn pem_of(der: &[u8]) -> String {
    pem::encode_config(
        &pem::Pem::new("CERTIFICATE", der),
        pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
    )
}

fn timestamp(time: ASN1Time) -> Timestamp {
    Timestamp::from_secs(u64::try_from(time.timestamp()).unwrap_or(0))
}
