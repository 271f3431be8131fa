//! The words of Kogge: what two or more crates must agree on, one noun a file.
//!
//! Owns ids, quantities, specs, states, validation faults, the scheduler's calls and events, and the messages
//! between control and agent. Refuses to know how anything is decided, stored or sent.
//!
//! ```text
//!  ServiceSpec ──(services)──▶ scheduler::Call ──(kernel)──▶ link::ToAgent ──(node)──▶ task
//!       ▲                                                                               │
//!    people            scheduler::Event ◀──(kernel)── link::FromAgent ◀── TaskStatus ◀──┘
//! ```
//!
//! Start reading at [`service`] (what people want), then [`task`] (what runs), [`scheduler`] and [`link`].

pub mod agent;
pub mod attribute;
pub mod caller;
pub mod decision;
pub mod digest;
pub mod fault;
pub mod health;
pub mod id;
pub mod image;
pub mod lease;
pub mod link;
pub mod log_record;
pub mod name;
pub mod port;
pub mod reason;
pub mod resources;
pub mod revision;
pub mod scheduler;
pub mod service;
pub mod sparse;
pub mod task;
pub mod template;
pub mod time;
pub mod token;
pub mod variables;
pub mod view;
