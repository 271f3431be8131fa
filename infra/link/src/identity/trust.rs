//! Whom to believe, and the sentences for whom not.

use std::time::Duration;

use kogge_model::digest::Digest;
use kogge_model::id::ClusterId;
use kogge_model::time::Timestamp;
use rustls_pki_types::{CertificateDer, UnixTime};
use thiserror::Error;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::certificate::{Certificate, CertificateError, der_of, parse, pem_of, uris};
use super::peer::{Peer, Role, authority_cluster};

/// The public half of a cluster's authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityCertificate {
    der: CertificateDer<'static>,
    cluster: ClusterId,
}

/// Why a certificate is not believed: a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Untrusted {
    /// None was shown.
    #[error("no certificate was shown")]
    Missing,
    /// It is not one of ours.
    #[error(transparent)]
    Foreign(#[from] CertificateError),
    /// It is somebody else's.
    #[error("the certificate is that of {peer} of cluster {theirs}, this is cluster {ours}")]
    OtherCluster {
        /// Whom it names.
        peer: Peer,
        /// The cluster it names.
        theirs: ClusterId,
        /// The cluster it was shown to.
        ours: ClusterId,
    },
    /// It claims to be ours, but is not.
    #[error("the certificate of {peer} was not signed by the authority of cluster {cluster}")]
    OtherAuthority {
        /// Whom it names.
        peer: Peer,
        /// The cluster it names.
        cluster: ClusterId,
    },
    /// The joining agent was told to expect another authority.
    #[error("the server's authority is not the one that the token names")]
    OtherThanPinned,
    /// It is used for what it is not.
    #[error("the certificate is that of {peer}, which may not act as {wanted}")]
    WrongRole {
        /// Whom it names.
        peer: Peer,
        /// What it was used for.
        wanted: Role,
    },
    /// Its time is over.
    #[error("the certificate of {peer} expired at {expired}, and the clock of the {here} says {now}")]
    Expired {
        /// Whom it names.
        peer: Peer,
        /// Its last moment.
        expired: Timestamp,
        /// What time it is, as far as is known.
        now: Timestamp,
        /// Who looked at a clock.
        here: Role,
    },
    /// Its time has not come.
    #[error(
        "the certificate of {peer} is not valid before {begins}, but the clock of the {here} says {now}: \
         one of the two clocks is wrong"
    )]
    NotYetValid {
        /// Whom it names.
        peer: Peer,
        /// Its first moment.
        begins: Timestamp,
        /// What time it is, as far as is known.
        now: Timestamp,
        /// Who looked at a clock.
        here: Role,
    },
}

impl Untrusted {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Expired { .. } => Some("check both clocks; if they are right, join again with a new token"),
            Self::NotYetValid { .. } => Some("set the clocks, for example with `timedatectl set-ntp true`"),
            Self::OtherCluster { .. } | Self::OtherAuthority { .. } => Some(
                "check the address; to change clusters, join with a token of the new one and a new data directory",
            ),
            Self::OtherThanPinned => {
                Some("check the address and the token: they belong to different clusters")
            }
            Self::Missing => Some("join first, with `kogge join SERVER --token TOKEN`"),
            Self::Foreign(_) | Self::WrongRole { .. } => None,
        }
    }
}

/// Who looks at whose certificate, for what, when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// What the other one wants to act as.
    pub wanted: Role,
    /// What we are.
    pub here: Role,
    /// The time, as far as is known.
    pub now: Timestamp,
}

impl AuthorityCertificate {
    /// Reads DER.
    ///
    /// # Errors
    /// When it is no certificate of an authority.
    pub fn from_der(der: CertificateDer<'static>) -> Result<Self, CertificateError> {
        let parsed = parse(&der)?;
        let [uri] = &uris(&parsed)[..] else { return Err(CertificateError::Nameless) };
        let cluster = authority_cluster(uri).ok_or(CertificateError::Nameless)?;
        Ok(Self { cluster, der })
    }

    /// Reads PEM.
    ///
    /// # Errors
    /// As [`AuthorityCertificate::from_der`].
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

    /// The cluster it speaks for.
    #[must_use]
    pub const fn cluster(&self) -> &ClusterId {
        &self.cluster
    }

    /// What tokens name it by.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.der)
    }

    /// Whether `der` is the certificate of a member who may act as wanted, now.
    ///
    /// # Errors
    /// When it is not, with the sentence that says why.
    pub fn verify(&self, der: &CertificateDer<'_>, look: Look) -> Result<Certificate, Untrusted> {
        let certificate = Certificate::from_der(der.clone().into_owned())?;
        self.verify_signature(&certificate, look)?;
        if certificate.peer().role() != look.wanted {
            return Err(Untrusted::WrongRole { peer: certificate.peer().clone(), wanted: look.wanted });
        }
        Ok(certificate)
    }

    fn verify_signature(&self, certificate: &Certificate, look: Look) -> Result<(), Untrusted> {
        let peer = certificate.peer();
        if *peer.cluster() != self.cluster {
            let (theirs, ours) = (peer.cluster().clone(), self.cluster.clone());
            return Err(Untrusted::OtherCluster { peer: peer.clone(), theirs, ours });
        }
        let foreign = |_| Untrusted::Foreign(CertificateError::Unreadable);
        let anchors = [anchor_from_trusted_cert(&self.der).map_err(foreign)?];
        let usage = match peer.role() {
            Role::Server => KeyUsage::server_auth(),
            Role::Agent | Role::Operator => KeyUsage::client_auth(),
        };
        let entity = EndEntityCert::try_from(certificate.der()).map_err(foreign)?;
        let time = UnixTime::since_unix_epoch(Duration::from_micros(look.now.as_micros()));
        let algorithms = [webpki::ring::ECDSA_P256_SHA256];
        let verified = entity.verify_for_usage(&algorithms, &anchors, &[], time, usage, None, None);
        verified.map(drop).map_err(|error| explain(&error, certificate, look))
    }
}

fn explain(error: &webpki::Error, certificate: &Certificate, look: Look) -> Untrusted {
    let (peer, now, here) = (certificate.peer().clone(), look.now, look.here);
    match error {
        webpki::Error::CertExpired { .. } => {
            Untrusted::Expired { peer, expired: certificate.not_after(), now, here }
        }
        webpki::Error::CertNotValidYet { .. } => {
            Untrusted::NotYetValid { peer, begins: certificate.not_before(), now, here }
        }
        _ => Untrusted::OtherAuthority { cluster: peer.cluster().clone(), peer },
    }
}
