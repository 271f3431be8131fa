//! What the server's side needs from others: small traits, supplied by the binary.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use kogge_model::digest::Digest;
use kogge_model::id::AgentId;
use kogge_model::link::FromAgent;
use kogge_model::reason::Reason;
use kogge_model::time::Timestamp;
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, watch};

use std::sync::Arc;

use crate::address::ServerAddress;
use crate::identity::{
    Authority, AuthorityCertificate, AuthorityError, Certificate, Lifetime, Peer, SigningRequest,
};
use crate::token::{self, Token};

/// Everything the listener needs.
#[derive(Clone)]
pub struct ListenerPorts {
    /// Who is let in.
    pub gate: Arc<dyn Gate>,
    /// Who signs certificates.
    pub signer: Arc<dyn Signer>,
    /// Who leads now.
    pub leader: watch::Receiver<Leader>,
    /// All servers agents may turn to.
    pub servers: watch::Receiver<Vec<ServerAddress>>,
    /// The image store.
    pub blobs: Arc<dyn Blobs>,
    /// Who wants to know which agents are connected.
    pub presence: Arc<dyn Presence>,
    /// What all agents shall know the newest of; empty while there is none. At most [`crate::MAX_BULLETIN_BYTES`].
    pub bulletin: watch::Receiver<Bytes>,
    /// Who hears what agents make of it.
    pub notes: Arc<dyn Notes>,
    /// Who answers other servers.
    pub tunnels: Arc<dyn Tunnels>,
    /// Where reports go. While it is full, agents wait.
    pub incoming: mpsc::Sender<FromAgent>,
}

/// Who leads, as far as this server knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leader {
    /// This server.
    Here,
    /// This server, as soon as it has read the state.
    Soon,
    /// Another one.
    Elsewhere(ServerAddress),
    /// Nobody, or nobody it has heard of.
    Unknown,
}

/// Decides who is let in.
pub trait Gate: Send + Sync {
    /// Redeems a token, durably: see [`token::check`].
    fn redeem(&self, joining: Joining) -> BoxFuture<'_, Result<(), JoinRefused>>;
    /// Whether the agent with that key is a member, and not forgotten. Must not block.
    ///
    /// # Errors
    /// When it is not, with the reason.
    fn admit(&self, agent: &AgentId, key: Digest) -> Result<(), Reason>;
}

/// Somebody at the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joining {
    /// What they show.
    pub token: Token,
    /// Who they want to be.
    pub agent: AgentId,
    /// The digest of the key they hold; the agent's id is bound to it from now on.
    pub key: Digest,
    /// Where they come from.
    pub from: SocketAddr,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinRefused {
    /// The token is not taken.
    Token(token::Refused),
    /// The agent's id belongs to somebody else.
    Member(Reason),
    /// Another server has to do it.
    NotLeader(Option<ServerAddress>),
    /// It cannot be done now.
    Unavailable(Reason),
}

/// Signs certificates.
pub trait Signer: Send + Sync {
    /// The authority it signs for.
    fn authority(&self) -> &AuthorityCertificate;
    /// Makes the request's key that of `peer`.
    ///
    /// # Errors
    /// When the request cannot be believed, or signing fails.
    fn sign(
        &self,
        request: &SigningRequest,
        peer: &Peer,
        now: Timestamp,
        lifetime: Lifetime,
    ) -> Result<Certificate, AuthorityError>;
}

impl Signer for Authority {
    fn authority(&self) -> &AuthorityCertificate {
        self.certificate()
    }

    fn sign(
        &self,
        request: &SigningRequest,
        peer: &Peer,
        now: Timestamp,
        lifetime: Lifetime,
    ) -> Result<Certificate, AuthorityError> {
        self.issue(request, peer, now, lifetime)
    }
}

/// Content by digest.
pub trait Blobs: Send + Sync {
    /// Opens a blob at `offset` bytes from its beginning.
    fn open(&self, digest: Digest, offset: u64) -> BoxFuture<'_, Result<Blob, Reason>>;
}

/// A blob being read.
pub struct Blob {
    /// Its whole size.
    pub size_bytes: u64,
    /// What follows the offset.
    pub pieces: BoxStream<'static, io::Result<Bytes>>,
}

/// Hears which agents are connected. Nothing here may block.
pub trait Presence: Send + Sync {
    /// A session of the agent stands.
    fn opened(&self, agent: &AgentId, from: SocketAddr);
    /// The agent has no session any more. Its tasks may be alive and well.
    fn closed(&self, agent: &AgentId);
    /// The agent came here, and was told that another server leads.
    fn sent_on(&self, agent: &AgentId);
    /// Somebody else came with the identity of a connected agent, and was sent away.
    fn cloned(&self, impostor: &Impostor);
}

/// Two processes with one identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impostor {
    /// Whose.
    pub agent: AgentId,
    /// Where the connected one is.
    pub connected: SocketAddr,
    /// Where the refused one came from.
    pub refused: SocketAddr,
}

/// Hears what agents make of the bulletins. Nothing here may block.
pub trait Notes: Send + Sync {
    /// The newest of an agent.
    fn heard(&self, agent: &AgentId, note: Bytes);
    /// The agent follows no more, or not on the connection it did.
    fn gone(&self, agent: &AgentId);
}

/// Answers other servers.
pub trait Tunnels: Send + Sync {
    /// A byte stream of the server of that name. Must not block.
    fn opened(&self, server: &str, stream: DuplexStream);
}
