//! One machine's decisions: start order, health verdicts, kill escalation, re-attach, what to collect.
//!
//! Owns what an agent must be sure of: which tasks it has, what it told about each, what it waits for. Refuses to
//! know how a container is made, what a probe looks like on the wire, and what time it is: `agent` (the process on
//! a machine) does, and drives this, its pure core. The simulator drives the same core with faked machines.
//!
//! ```text
//!  link::FromControl ─┐                              ┌─▶ Save, Forget        first persist,
//!  what shims say ────┼─▶ Node::handle(now, input) ──┼─▶ Start, Signal, …    then act or send
//!  what probes found ─┘          │                   └─▶ Send(ToControl)
//!                                └─▶ next_wakeup(): when to come with Input::Tick
//! ```
//!
//! The life of a task here, beside the states that are told ([`kogge_model::task::TaskState`]):
//!
//! ```text
//!  Queued ──▶ Starting ──▶ Running ──▶ Stopping ──▶ Ended ──▶ (collected, forgotten)
//!               ▲             │            │          ▲
//!  Recovering ──┴─────────────┴─▶ Vanishing ──────────┘     its supervisor is gone: first make sure
//! ```
//!
//! Start reading at [`Node`], then [`input`] and [`effect`]. One `plan_` file for each duty.

pub mod config;
pub mod effect;
pub mod input;
pub mod record;
pub mod view;

mod chance;
mod exit;
mod explain;
mod node;
mod plan_collect;
mod plan_health;
mod plan_lease;
mod plan_link;
mod plan_recovery;
mod plan_repeat;
mod plan_start;
mod plan_status;
mod plan_stop;
mod state;

pub use config::NodeConfig;
pub use effect::{Effect, Effects, ProbeTarget, StopSignal};
pub use input::{Found, Input};
pub use node::Node;
pub use record::{AgentRecord, Recorded, StopOrder, TaskRecord};
pub use view::TaskView;
