//! Typed client for the native API.
//!
//! Owns finding the cloud, deadlines, streams, the exec upgrade, and turning problem documents into errors with
//! hints. Refuses to know how anything is shown to people, and starts no task: each answer drives its own
//! connection while somebody waits for it.
//!
//! ```text
//!  Locate ──▶ Client ──▶ one of the servers ──▶ Exchange (one connection, one request) ──▶ value │ Feed (lines, events) │ exec session
//! ```
//!
//! Start reading at [`Client`].

mod apps;
mod client;
mod deployments;
mod error;
mod events;
mod exchange;
mod exec;
mod feed;
mod images;
mod instances;
mod locate;
mod logs;
mod nodes;
mod payload;
mod request;
mod server;
mod services;
mod tokens;
mod trust;
mod upload;

pub use client::Client;
pub use error::ClientError;
pub use events::EventFeed;
pub use exec::{ExecReceiver, ExecSender};
pub use feed::Feed;
pub use locate::{Cloud, DEFAULT_DATA_DIR, DOORS_FILE, Locate, LocateError};
pub use server::InvalidApi;
pub use trust::Untrusted;
