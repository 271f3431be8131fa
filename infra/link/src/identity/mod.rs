//! Who is who: the cluster's authority, the certificates it signs, and what they must say to be believed.
//!
//! ```text
//!  Authority (key + certificate, made once per cluster)
//!      │ issue(signing request, peer, lifetime)
//!      ▼
//!  Certificate ── kogge://CLUSTER/agent/ID ──▶ AuthorityCertificate::verify ──▶ Peer, or why it is Untrusted
//!      + PrivateKey, which never leaves its machine = Identity
//! ```
//!
//! Names and addresses of machines mean nothing here: they change, keys do not. A server's certificate may name
//! some all the same ([`HostName`]), for clients that know no better, such as git and curl.

mod authority;
mod certificate;
mod host;
mod key;
mod peer;
mod request;
#[cfg(test)]
mod tests;
mod trust;

pub use authority::{Authority, AuthorityError, AuthorityPem, Lifetime};
pub use certificate::{Certificate, CertificateError};
pub use host::{HostName, HostNameError};
pub use key::{Identity, IdentityError, IdentityPem, KeyError, PrivateKey};
pub use peer::{Peer, PeerError, Role};
pub use request::{RequestError, SigningRequest};
pub use trust::{AuthorityCertificate, Look, Untrusted};
