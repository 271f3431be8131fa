//! Control: leads, loads, persists, and drives the cores.
//!
//! Owns the one loop in which the cores decide, the store in which their records stand, and the door
//! ([`Handle`]) behind which the API and the builder stand. Refuses to know HTTP, containers and the router: those
//! are ports, adapted by the binary.
//!
//! ```text
//!   Handle ──jobs──▶ ┌──────────── reactor ────────────┐ ──▶ store (one commit a round)
//!   agents ────────▶ │ services ⇄ kernel · revisions   │ ──▶ agents (orders, acknowledgements)
//!   router (drained) │ discovery · journal of reasons  │ ──▶ routing table, events
//!                    └─────────────────────────────────┘
//! ```
//!
//! Who is let in stands in [`access`]. The state as a whole, without a leader, is the matter of [`state`].
//!
//! Start reading at [`start`] in `run.rs`, then `reactor.rs` (the order of effects) and `cloud.rs` (how the cores
//! talk with each other).

pub mod access;
mod alarm;
mod batch;
mod change;
mod cloud;
mod config;
mod copy;
mod digests;
mod ended;
mod follow;
mod giving_way;
mod handle;
mod hearing;
mod image;
mod intake;
mod job;
mod journal;
mod keys;
mod leading;
mod load;
mod look;
mod name;
mod pace;
mod packed;
pub mod ports;
mod reach;
mod reactor;
mod refusal;
mod round;
mod routing;
mod run;
mod seek;
mod seekers;
mod servers;
mod settings;
mod sharing;
mod standing;
pub mod state;
mod state_digest;
mod trail;
mod view;
mod vigil;

pub use config::Config;
pub use handle::{Down, Facts, Handle};
pub use leading::Freshness;
pub use refusal::Refusal;
pub use run::{Ports, StartError, start};
pub use standing::{ServerRecord, Standing};
