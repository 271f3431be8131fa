//! HTTP balancer over a routing-table snapshot.
//!
//! Owns the way of a request from a client's connection to a healthy instance and back. Refuses to know who decides
//! the table, how health is found out, and whether control lives in this process: it is handed whole tables through a
//! watch channel and only moves forward.
//!
//! ```text
//!  listener ─▶ loops::accept ─▶ loops::serve (hyper) ─▶ proxy ─▶ Inner::admit ─▶ Lease on a Backend
//!                                     ▲                   │          ▲ ArcSwap      │
//!                   loops::sweep ─────┘ times             ▼          │              ▼
//!                                            upstream::Exchange   Snapshot ◀── loops::tables ◀── watch
//! ```
//!
//! What stands behind "changing routes or instances loses no request" (G17):
//! - A [`backend::Lease`] is counted before its backend's retirement is looked at, so an instance that is retired and
//!   idle never gets another request.
//! - A request that has begun keeps its backend, whatever tables say.
//! - A request of which nothing can have had an effect is sent once more, elsewhere if possible.
//!
//! Deliberately absent: a task, timer or channel for each request; a copy of the header for a retry (the bytes to send
//! are kept); locks across threads on the path of a request, but for short ones on a shard.
//!
//! Start reading at [`Router`] and `proxy.rs`.

mod backend;
mod balance;
mod client_connection;
mod client_io;
mod clock;
mod config;
mod connections;
mod failure;
mod fleet;
mod forwarded;
mod loops;
mod network;
mod page;
mod pool;
mod proxy;
mod proxy_body;
mod refusal;
mod request_head;
mod request_id;
mod router;
mod shard;
mod target;
mod traffic;
mod tunnel;
mod upstream;

pub use client_connection::Scheme;
pub use config::RouterConfig;
pub use network::{Network, NetworkError};
pub use router::{InstanceTraffic, Router, StartError};
pub use traffic::{LATENCY_BOUNDS_MICROS, TrafficReading};
