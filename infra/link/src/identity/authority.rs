//! The authority of one cluster: made at its first start, it signs every member's certificate.

use std::fmt;
use std::time::Duration;

use kogge_model::id::ClusterId;
use kogge_model::time::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyUsagePurpose, SanType, SerialNumber, string::Ia5String,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::certificate::{Certificate, CertificateError};
use super::host::HostName;
use super::key::{KeyError, PrivateKey};
use super::peer::{Peer, PeerError, Role, authority_uri};
use super::request::{RequestError, SigningRequest};
use super::trust::AuthorityCertificate;

/// Longer than any cluster lives: changing it means that every member joins again.
const AUTHORITY_LIFE: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// How long certificates are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// From now on.
    pub validity: Duration,
    /// And already this long before now, for members whose clock is late. At most a quarter of the validity counts,
    /// so that half of a life never lies in the past.
    pub backdate: Duration,
}

impl Default for Lifetime {
    /// Seven days (short enough to need no revocation lists), one hour back.
    fn default() -> Self {
        Self { validity: Duration::from_secs(7 * 24 * 3600), backdate: Duration::from_secs(3600) }
    }
}

/// A cluster's authority with its secret key.
pub struct Authority {
    key: PrivateKey,
    certificate: AuthorityCertificate,
}

/// An authority as it is kept. Who has it can make members.
#[derive(Clone, Serialize, Deserialize)]
pub struct AuthorityPem {
    /// PKCS #8.
    pub key: String,
    /// X.509.
    pub certificate: String,
}

/// Why there is no authority, or no certificate of it.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// Its key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Its certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The name of the cluster or the member.
    #[error(transparent)]
    Name(#[from] PeerError),
    /// The member's request.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A member of somebody else's.
    #[error("the authority of cluster {ours} signs nothing for cluster {theirs}")]
    OtherCluster {
        /// Whose authority.
        ours: ClusterId,
        /// Whose member.
        theirs: ClusterId,
    },
    /// No number for a certificate.
    #[error("cannot draw a serial number")]
    Serial(#[source] std::io::Error),
    /// Signing itself.
    #[error("cannot sign a certificate")]
    Sign(#[source] rcgen::Error),
}

impl Authority {
    /// The authority of a new cluster.
    ///
    /// # Errors
    /// When the cluster's id cannot stand in a certificate, or the kernel gives no random bytes.
    pub fn create(cluster: &ClusterId, now: Timestamp) -> Result<Self, AuthorityError> {
        let key = PrivateKey::generate()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name = named(&format!("Kogge cluster {cluster}"));
        params.subject_alt_names = vec![uri(authority_uri(cluster)?)?];
        // A day back: nothing is checked against it but the signatures of members.
        let life = Lifetime { validity: AUTHORITY_LIFE, backdate: Duration::from_secs(24 * 3600) };
        set_life(&mut params, now, life)?;
        let signed = params.self_signed(key.pair()).map_err(AuthorityError::Sign)?;
        Ok(Self { certificate: AuthorityCertificate::from_der(signed.der().clone())?, key })
    }

    /// An authority as it was kept.
    ///
    /// # Errors
    /// When a part of it is damaged.
    pub fn from_pem(pem: &AuthorityPem) -> Result<Self, AuthorityError> {
        let key = PrivateKey::from_pem(&pem.key)?;
        Ok(Self { key, certificate: AuthorityCertificate::from_pem(&pem.certificate)? })
    }

    /// To keep, sealed.
    #[must_use]
    pub fn to_pem(&self) -> AuthorityPem {
        AuthorityPem { key: self.key.to_pem(), certificate: self.certificate.to_pem() }
    }

    /// Its public half.
    #[must_use]
    pub const fn certificate(&self) -> &AuthorityCertificate {
        &self.certificate
    }

    /// Signs a certificate that makes the key of `request` that of `peer`.
    ///
    /// # Errors
    /// When the request cannot be believed, or `peer` is another cluster's.
    pub fn issue(
        &self,
        request: &SigningRequest,
        peer: &Peer,
        now: Timestamp,
        lifetime: Lifetime,
    ) -> Result<Certificate, AuthorityError> {
        self.issue_for_hosts(request, peer, &[], now, lifetime)
    }

    /// The same, with the names and addresses under which clients of other makes look for it.
    ///
    /// # Errors
    /// As [`Authority::issue`].
    pub fn issue_for_hosts(
        &self,
        request: &SigningRequest,
        peer: &Peer,
        hosts: &[HostName],
        now: Timestamp,
        lifetime: Lifetime,
    ) -> Result<Certificate, AuthorityError> {
        if peer.cluster() != self.certificate.cluster() {
            let (ours, theirs) = (self.certificate.cluster().clone(), peer.cluster().clone());
            return Err(AuthorityError::OtherCluster { ours, theirs });
        }
        let public_key = request.public_key()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match peer.role() {
            Role::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Role::Agent | Role::Operator => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        params.distinguished_name = named(&peer.to_string());
        params.subject_alt_names = vec![uri(peer.uri())?];
        for host in hosts {
            params.subject_alt_names.push(match host {
                HostName::Ip(address) => SanType::IpAddress(*address),
                HostName::Dns(name) => {
                    SanType::DnsName(Ia5String::try_from(name.as_str()).map_err(AuthorityError::Sign)?)
                }
            });
        }
        set_life(&mut params, now, lifetime)?;
        let issuer = Issuer::from_ca_cert_der(self.certificate.der(), self.key.pair());
        let issuer = issuer.map_err(AuthorityError::Sign)?;
        let signed = params.signed_by(&public_key, &issuer).map_err(AuthorityError::Sign)?;
        Ok(Certificate::from_der(signed.der().clone())?)
    }
}

/// Says which, never what.
impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({})", self.certificate.cluster())
    }
}

/// Without the key.
impl fmt::Debug for AuthorityPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorityPem").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    // RFC 5280 appendix A: at most 64 characters.
    distinguished.push(DnType::CommonName, name.chars().take(64).collect::<String>());
    distinguished
}

fn uri(uri: String) -> Result<SanType, AuthorityError> {
    Ok(SanType::URI(Ia5String::try_from(uri).map_err(AuthorityError::Sign)?))
}

/// Sets validity and a serial number of its own: the same key is certified again and again.
fn set_life(params: &mut CertificateParams, now: Timestamp, life: Lifetime) -> Result<(), AuthorityError> {
    let backdate = life.backdate.min(life.validity / 4);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |time: Timestamp| epoch + Duration::from_secs(time.as_micros() / 1_000_000);
    params.not_before = at(now.minus(backdate));
    params.not_after = at(now.plus(life.validity));
    let mut serial = kogge_host::seed::draw().map_err(AuthorityError::Serial)?;
    // RFC 5280 §4.1.2.2: positive, at most 20 octets.
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&serial[..16]));
    Ok(())
}
