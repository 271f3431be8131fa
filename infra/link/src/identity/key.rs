//! A member's own key, and the key with the certificate for it.

use std::fmt;
use std::sync::Arc;

use kogge_model::digest::Digest;
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::certificate::{Certificate, CertificateError};
use super::request::SigningRequest;
use super::trust::AuthorityCertificate;

/// A P-256 key. It is made on the machine that uses it and leaves it for nobody.
#[derive(Clone)]
pub struct PrivateKey {
    pair: Arc<KeyPair>,
}

/// Why there is no key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// No chance from the kernel, or the like.
    #[error("cannot make a key")]
    Make(#[source] rcgen::Error),
    /// A text that is no key.
    #[error("cannot read a private key")]
    Read(#[source] rcgen::Error),
}

/// Why a kept identity cannot be used.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// Its key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Its certificate, or its authority's.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The two do not belong together.
    #[error("the certificate of {peer} is for another key than the one kept beside it")]
    OtherKey {
        /// Whose certificate.
        peer: String,
    },
}

impl PrivateKey {
    /// A new one.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(KeyError::Make)?;
        Ok(Self { pair: Arc::new(pair) })
    }

    /// From PKCS #8 in PEM.
    ///
    /// # Errors
    /// When the text is no such key.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let pair = KeyPair::from_pkcs8_pem_and_sign_algo(pem, &rcgen::PKCS_ECDSA_P256_SHA256);
        Ok(Self { pair: Arc::new(pair.map_err(KeyError::Read)?) })
    }

    /// As PKCS #8 in PEM. Keep it where only its owner reads.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.pair.serialize_pem()
    }

    /// The digest of its public half (SubjectPublicKeyInfo, DER).
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.pair.subject_public_key_info())
    }

    /// Asks for a certificate. What it shall say is the signer's matter.
    ///
    /// # Errors
    /// When signing fails.
    pub fn signing_request(&self) -> Result<SigningRequest, KeyError> {
        let request = CertificateParams::default().serialize_request(&*self.pair).map_err(KeyError::Make)?;
        Ok(SigningRequest::unchecked(request.der().to_vec()))
    }

    pub(crate) fn pair(&self) -> &KeyPair {
        &self.pair
    }

    pub(crate) fn to_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.pair.serialize_der()))
    }
}

/// Says which, never what.
impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.fingerprint().short())
    }
}

/// Everything a member needs to be believed, and to know whom to believe.
#[derive(Debug, Clone)]
pub struct Identity {
    key: PrivateKey,
    certificate: Certificate,
    authority: AuthorityCertificate,
}

/// An identity as it is kept on disk.
#[derive(Clone, Serialize, Deserialize)]
pub struct IdentityPem {
    /// PKCS #8.
    pub key: String,
    /// The member's certificate.
    pub certificate: String,
    /// Its authority's.
    pub authority: String,
}

impl Identity {
    /// The three together.
    ///
    /// # Errors
    /// When the certificate is for another key.
    pub fn new(
        key: PrivateKey,
        certificate: Certificate,
        authority: AuthorityCertificate,
    ) -> Result<Self, IdentityError> {
        if certificate.key_fingerprint() != key.fingerprint() {
            return Err(IdentityError::OtherKey { peer: certificate.peer().to_string() });
        }
        Ok(Self { key, certificate, authority })
    }

    /// As kept.
    ///
    /// # Errors
    /// When a part is damaged, or they do not belong together.
    pub fn from_pem(pem: &IdentityPem) -> Result<Self, IdentityError> {
        Self::new(
            PrivateKey::from_pem(&pem.key)?,
            Certificate::from_pem(&pem.certificate)?,
            AuthorityCertificate::from_pem(&pem.authority)?,
        )
    }

    /// To keep.
    #[must_use]
    pub fn to_pem(&self) -> IdentityPem {
        IdentityPem {
            key: self.key.to_pem(),
            certificate: self.certificate.to_pem(),
            authority: self.authority.to_pem(),
        }
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// The certificate for it.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Whom to believe.
    #[must_use]
    pub const fn authority(&self) -> &AuthorityCertificate {
        &self.authority
    }
}

/// Without the key.
impl fmt::Debug for IdentityPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityPem").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_after_it_was_kept_and_is_never_printed() {
        let key = PrivateKey::generate().unwrap();
        let kept = PrivateKey::from_pem(&key.to_pem()).unwrap();
        assert_eq!(kept.fingerprint(), key.fingerprint());
        assert_eq!(format!("{key:?}"), format!("PrivateKey({})", key.fingerprint().short()));
        assert!(PrivateKey::from_pem("no key").is_err());
    }
}
