//! The process on each machine that offers its resources and runs tasks: drives the node core with containers,
//! supervisors and probes.
//!
//! Owns everything a task has on this machine, from its directory to its network. Refuses to decide: that is
//! [`kogge_node`]'s, its pure core, and all that is not of one machine is control's, which it knows only by the
//! messages of [`kogge_model::link`].
//!
//! ```text
//!  Link ◀──────── outbox ◀── synced ──┐
//!   │                                 │
//!   └─ orders ─▶ reactor (owns Node) ─┼─▶ records        cluster.json, tasks/TASK.json
//!                   ▲                 └─▶ hands ──▶ tasks/{start, stop, watch, release, …}
//!                   └────── inputs ──────────────────────┘        │
//!                                                       containers · shim · network
//! ```
//!
//! Killing the agent touches no task: each has a supervisor of its own, and the next agent on the same data directory
//! compares its records with what the supervisors say. Start reading at [`Agent::start`].

mod clock;
mod config;
mod decisions;
mod dirs;
mod exec;
mod handle;
mod identity;
mod logs;
mod loops;
mod machine;
mod port_leases;
mod ports;
pub mod preconditions;
mod records;
mod reserve;
mod run;
mod sentence;
mod tasks;

pub use config::{AgentConfig, ResourceOverrides, default_ports};
pub use exec::ExecSession;
pub use handle::{AgentHandle, Leaving};
pub use identity::{IdentityError, agent_id};
pub use logs::{LogBatches, LogWish};
pub use ports::{LINK_CAPACITY, Link};
pub use records::RecordError;
pub use run::{Agent, AgentError, Stores};
pub use tasks::SweepError;
