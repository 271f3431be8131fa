//! Agents, offers, the DRF allocator and the task lifecycle: which framework may use what, and what became of it.
//!
//! Owns agents, offers, frameworks and task records, and mints run ids. Refuses to know what a service, an image or a
//! container is: a task is a size and a name. Frameworks speak Mesos' scheduler calls ([`kogge_model::scheduler`]),
//! agents the words of [`kogge_model::link`].
//!
//! ```text
//!   framework ──Call──▶ ┌────────┐ ──ToAgent──▶ agent
//!             ◀──Event──│ kernel │ ◀─FromAgent─
//!                       └────────┘
//!                        │ persist, then send, then acknowledge
//!                        ▼
//!                      store (records)
//! ```
//!
//! What holds, whatever the link and the store's owner do to it:
//! - What is held and offered on an agent never exceeds what it has. A task that was given up holds its resources
//!   until its agent says that it is over.
//! - A task's state only moves forward, and each of its updates is acknowledged once its framework has it.
//! - A single-copy task that nobody hears of is given up only when the last lease it was granted is over (G9).
//! - An agent's task without a record is left alone (G4). Only explicit orders end a task.
//! - An agent that is drained gets no offers and so no launches; moving what runs there is its frameworks' matter.
//!
//! Start reading at [`Kernel::handle`] in `state.rs`; each `plan_<noun>.rs` is what follows from one kind of input.

mod agent;
mod away_copies;
mod clock;
mod config;
mod effect;
mod explain;
mod follow;
mod framework;
mod input;
mod ledger;
mod offer;
mod plan_accept;
mod plan_framework;
mod plan_instruction;
mod plan_lease;
mod plan_offer;
mod plan_order;
mod plan_register;
mod plan_silence;
mod plan_status;
mod quantity;
mod record;
mod rules;
mod share;
mod silences;
mod state;
mod task;
mod timer;
mod view;

pub use agent::{Phase, Stray};
pub use config::{Config, MassLoss};
pub use effect::{Effect, Effects, Stage};
pub use follow::RecordChanges;
pub use input::Input;
pub use quantity::Quantities;
pub use record::{AgentRecord, FrameworkRecord, KillOrder, Records, TaskRecord};
pub use rules::{Drain, FIXED_ATTRIBUTES, Instruction, Rules};
pub use state::Kernel;
pub use view::{AgentView, FrameworkView, OfferView, View};
