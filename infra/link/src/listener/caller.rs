//! Who is at the other end of a connection.

use std::net::SocketAddr;

use kogge_host::clock;
use kogge_model::id::AgentId;
use kogge_model::time::Timestamp;
use rustls_pki_types::CertificateDer;
use tonic::Request;

use crate::identity::{AuthorityCertificate, Certificate, Look, Role, Untrusted};

/// What a connection tells of its other end.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) from: SocketAddr,
    /// What one packet to it carries, in bytes.
    pub(crate) segment_bytes: usize,
    /// The certificate shown; the handshake has proved that the key is there, nothing else.
    shown: Option<CertificateDer<'static>>,
    /// Whom it names, if it was good when the connection was made: a signature holds as long as the connection does.
    known: Option<CertifiedAgent>,
}

/// An agent that has shown who it is.
#[derive(Debug, Clone)]
pub(crate) struct CertifiedAgent {
    pub(crate) agent: AgentId,
    pub(crate) certificate: Certificate,
}

impl CertifiedAgent {
    fn is_good_at(&self, now: Timestamp) -> bool {
        (self.certificate.not_before()..self.certificate.not_after()).contains(&now)
    }
}

impl Caller {
    /// Whoever is at the other end of a new connection.
    pub(crate) fn new(
        (from, segment_bytes): (SocketAddr, usize),
        shown: Option<CertificateDer<'static>>,
        authority: &AuthorityCertificate,
    ) -> Self {
        let mut caller = Self { from, segment_bytes, shown, known: None };
        caller.known = caller.agent(authority).ok();
        caller
    }

    /// Whether the connection was made by an agent.
    pub(crate) const fn is_agent(&self) -> bool {
        self.known.is_some()
    }

    /// Whose call this is.
    pub(crate) fn of<T>(request: &Request<T>) -> Self {
        request.extensions().get().cloned().expect("every request is given its connection's caller")
    }

    /// The agent, if its certificate is good now.
    pub(crate) fn agent(&self, authority: &AuthorityCertificate) -> Result<CertifiedAgent, Untrusted> {
        let now = clock::now();
        match &self.known {
            Some(known) if known.is_good_at(now) => Ok(known.clone()),
            // Whatever has changed since is told.
            _ => self.agent_at(authority, now),
        }
    }

    /// The name of the server, if this is one of the cluster.
    pub(crate) fn server(&self, authority: &AuthorityCertificate) -> Result<String, Untrusted> {
        let shown = self.shown.as_ref().ok_or(Untrusted::Missing)?;
        let look = Look { wanted: Role::Server, here: Role::Server, now: clock::now() };
        Ok(authority.verify(shown, look)?.peer().id().to_owned())
    }

    /// The agent, whose certificate may have run out, but not before `since`.
    pub(crate) fn late_agent(
        &self,
        authority: &AuthorityCertificate,
        since: Timestamp,
    ) -> Result<CertifiedAgent, Untrusted> {
        let now = clock::now();
        match self.agent_at(authority, now) {
            // Looked at in its last moment it must be good, and that moment must not be too long ago.
            Err(Untrusted::Expired { expired, .. }) if expired >= since => self.agent_at(authority, expired),
            judged => judged,
        }
    }

    fn agent_at(
        &self,
        authority: &AuthorityCertificate,
        now: Timestamp,
    ) -> Result<CertifiedAgent, Untrusted> {
        let shown = self.shown.as_ref().ok_or(Untrusted::Missing)?;
        let look = Look { wanted: Role::Agent, here: Role::Server, now };
        let certificate = authority.verify(shown, look)?;
        let agent = certificate.peer().agent().expect("a certificate good for agents names one");
        Ok(CertifiedAgent { agent, certificate })
    }
}
