//! A signing request: somebody's public key, with proof that they hold the private one.

use kogge_model::digest::Digest;
use rcgen::{CertificateSigningRequestParams, PublicKey, PublicKeyData as _};
use rustls_pki_types::CertificateSigningRequestDer;
use thiserror::Error;

/// The longest request anybody needs.
const MAX_BYTES: usize = 4 * 1024;

/// PKCS #10 in DER. Only its key counts: names and uses are given by the signer, whatever the request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningRequest {
    der: Vec<u8>,
}

/// Why a request is not signed.
#[derive(Debug, Error)]
pub enum RequestError {
    /// Longer than any real one.
    #[error("the signing request has {bytes} bytes, at most {MAX_BYTES} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// No request, or its signature does not prove that its sender has the key.
    #[error("the signing request cannot be believed")]
    Invalid(#[source] rcgen::Error),
    /// A key of another kind.
    #[error("the signing request is for a key of another kind than P-256")]
    KeyKind,
}

impl SigningRequest {
    /// As it came from elsewhere.
    #[must_use]
    pub const fn unchecked(der: Vec<u8>) -> Self {
        Self { der }
    }

    /// As it travels.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// The digest of the public key, if its holder asked.
    ///
    /// # Errors
    /// When the request is not one, or is not signed by its own key.
    pub fn key_fingerprint(&self) -> Result<Digest, RequestError> {
        Ok(Digest::of(&self.public_key()?.subject_public_key_info()))
    }

    pub(super) fn public_key(&self) -> Result<PublicKey, RequestError> {
        if self.der.len() > MAX_BYTES {
            return Err(RequestError::TooLong { bytes: self.der.len() });
        }
        let der = CertificateSigningRequestDer::from(self.der.as_slice());
        let parsed = CertificateSigningRequestParams::from_der(&der).map_err(RequestError::Invalid)?;
        if parsed.public_key.algorithm() != &rcgen::PKCS_ECDSA_P256_SHA256 {
            return Err(RequestError::KeyKind);
        }
        Ok(parsed.public_key)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::super::PrivateKey;
    use super::*;

    #[test]
    fn a_request_names_the_key_that_signed_it() {
        let key = PrivateKey::generate().unwrap();
        let request = key.signing_request().unwrap();
        assert_eq!(request.key_fingerprint().unwrap(), key.fingerprint());
    }

    #[test]
    fn a_changed_or_foreign_request_is_refused() {
        let der = PrivateKey::generate().unwrap().signing_request().unwrap().as_der().to_vec();
        let check = |der: Vec<u8>| SigningRequest::unchecked(der).key_fingerprint();
        let last = der.len() - 1;
        let mut changed = der.clone();
        changed[last] ^= 1;
        assert!(matches!(check(changed), Err(RequestError::Invalid(_))));
        assert!(matches!(check(der[..last].to_vec()), Err(RequestError::Invalid(_))));
        assert!(matches!(check(vec![0; 5_000]), Err(RequestError::TooLong { bytes: 5_000 })));
        let other = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let other = CertificateParams::default().serialize_request(&other).unwrap().der().to_vec();
        assert!(matches!(check(other), Err(RequestError::KeyKind)));
    }
}
