//! Clouds of several machines: the door by which others come in, servers, agents, and joining.
//!
//! ```text
//!  kogge server ──▶ server.rs ── agents_door.rs ◀──mutual TLS── agent.rs ◀── kogge agent
//!      │  └─ forward.rs ──tunnel──▶ the server that leads          └─ membership.rs ◀── join.rs ◀── kogge join
//! ```

mod agent;
mod agents_door;
mod belonging;
mod forward;
mod join;
mod leave;
mod membership;
mod own_address;
mod replicate;
mod server;

pub(crate) use agent::run as run_agent;
pub(crate) use agents_door::{AgentsDoor, Served};
pub(crate) use belonging::Belonging;
pub(crate) use join::run as join;
pub(crate) use leave::run as leave;
pub(crate) use server::run as run_server;
