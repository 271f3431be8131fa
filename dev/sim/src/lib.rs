//! The seeded cluster simulator: the true cores of server and agents in one thread, over a faked wire, store, clock
//! and containers.
//!
//! Owns the world around the cores and the checkers that watch every run. Refuses to know daemons, sockets and files.
//!
//! ```text
//!   people ─▶ tree ─▶ services ◀─▶ kernel ══ wire: lost, late, twice, cut ══ node ─▶ containers: slow, ill, dead
//!                        │ commit: crashes between any two writes or words │            │
//!                        └───────────────── checkers look at all of it ────┴────────────┘
//! ```
//!
//! A seed decides everything, so the line that a failing run prints repeats it exactly. Start reading at [`run()`],
//! then `world.rs`; `check/` says what must hold, `sabotage.rs` breaks the cores to prove that the checkers see it.

mod behaviour;
mod chance;
mod check;
mod container;
pub mod day;
mod faults;
mod machine;
mod network;
mod operators;
mod pair;
mod people;
pub mod placing;
mod run;
mod sabotage;
mod scenario;
mod schedule;
mod server;
mod store;
mod stream;
mod trace;
mod world;
mod world_faults;
mod world_machine;
mod world_server;

pub use run::{Failure, run};
pub use sabotage::Trick;
pub use scenario::Scenario;
pub use stream::Backoff;
pub use world::Tally;
