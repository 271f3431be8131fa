//! The network link between servers and agents.
//!
//! Owns who is who in a cluster ([`identity`]), how a machine becomes a member ([`token`], [`join`]), and one
//! connection from each agent to the leader over which the messages of [`kogge_model::link`] travel. Refuses to know
//! what they mean, who leads, or where anything is kept: callers tell, by small traits.
//!
//! ```text
//!   agent                                                     server
//!   ┌──────────────┐   TLS 1.3, both sides certified   ┌───────────────────┐
//!   │ dial()       │ ── Session: reports ▶  ◀ orders ─ │ listen()          │ ─▶ incoming
//!   │   TaskDoor   │ ── Reach:   logs, exec, stats ──▶ │   .logs() .exec() │ ◀─ send(agent, order)
//!   │   .fetch()   │ ◀─ Fetch:   blobs ─────────────── │   Blobs           │
//!   │   .bulletin  │ ◀─ Follow:  the newest, notes ──▶ │   bulletin, Notes │
//!   └──────────────┘ ── Join, Renew: certificates ───▶ └───────────────────┘
//! ```
//!
//! Agents call, servers never do: an agent behind a firewall needs no door. The link may drop, repeat, delay and
//! reorder messages when it breaks; it tells nobody, since every message that matters comes again until answered.
//! Servers reach each other through the same door ([`ListenerHandle::tunnel`]). Logs, programs and blobs travel on
//! connections of their own, so none of them can hold up orders; bulletins share that of the session, behind a window
//! of their own.
//!
//! Start reading at [`listen`] and [`dial`]; the words on the wire stand in `proto/link.proto`.

mod address;
mod bounds;
mod codec;
mod dialer;
mod executor;
mod frames;
pub mod identity;
mod listener;
mod reach;
mod refusal;
mod timing;
mod tls;
pub mod token;
mod token_door;
mod version;
mod wire;

pub use address::{AddressError, DEFAULT_PORT, ServerAddress};
pub use bounds::{MAX_BULLETIN_BYTES, MAX_MESSAGE_BYTES};
pub use dialer::{
    DialError, Dialed, DialerConfig, DialerError, DialerHandle, DialerPorts, JoinError, JoinWish, Joined,
    Keeper, LinkState, RemoteBlob, dial, join,
};
pub use listener::{
    Blob, Blobs, Gate, Impostor, JoinRefused, Joining, Leader, ListenerConfig, ListenerError, ListenerHandle,
    ListenerPorts, Notes, Presence, RemoteLogs, ServerCertificateError, Signer, Tunnels, listen,
};
pub use reach::{ExecLine, LogBatches, LogContent, LogEntry, LogWish, TaskDoor};
pub use refusal::{Refusal, RefusalKind};
pub use timing::Timing;
pub use token_door::{TokenDoor, token_door};
pub use version::Versions;
