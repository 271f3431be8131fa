//! Something that should always run in N instances: services, their deployments, restarts and placement.
//!
//! Owns the way from a spec in the tree to tasks on agents: how many instances there are and of which version, when
//! a crashed one comes back, where each is placed, how one version follows another within its bounds, and when to
//! give up and go back. Refuses to know the kernel (it speaks the same [`scheduler`](kogge_model::scheduler) calls
//! and events as a foreign framework), how health is probed, how requests are routed, and what time it is.
//!
//! ```text
//!  Desired (the tree) ──┐                        ┌─▶ SaveService, SaveInstance   first persist,
//!  FromKernel (events) ─┼─▶ Services::handle ────┼─▶ Call, RollBack              then send,
//!  Drained (the router) ┤     │                  ├─▶ Acknowledge                 then acknowledge,
//!  Tick ────────────────┘     │                  └─▶ Explain, Announce           then tell
//!                             ▼
//!          settle one service, until nothing is left to do:
//!            plan_repair      one instance × now           ──▶ kill it? until when to wait?
//!            plan_instances   wish × bounds × instances    ──▶ create, stop, renew
//!            plan_deployment  deployment × counts × now    ──▶ go on, done, give up
//!          and with offers at hand: placement     requests × offers  ──▶ launches, or what is missing
//!                                   plan_balance  instances × offers ──▶ one that had better be elsewhere
//! ```
//!
//! Each plan is a function without effects; each thing decided says why, which is what `kogge why` prints. Nothing
//! polls: whatever an input leads to happens in the call that brings it.
//!
//! Start reading at [`state`] (an instance's and a deployment's life), then `plan_instances`, then `settle`. What
//! follows from what is told as a story in `tests/scenarios`, with its outcome in `tests/golden`.

pub mod config;
pub mod effect;
pub mod explain;
pub mod input;
pub mod state;

mod adopt;
mod balance;
mod chance;
mod displace;
mod end_task;
mod follow;
mod on_desired;
mod on_event;
mod placement;
mod plan_balance;
mod plan_deployment;
mod plan_instances;
mod plan_repair;
mod reporting;
mod serve_offers;
mod services;
mod settle;
mod steer_deployment;
mod task_spec;
mod touched;

pub use config::{BackoffPolicy, Config};
pub use effect::{Announcement, Effect, Effects, Stage, Subject};
pub use explain::Explanation;
pub use follow::RecordChanges;
pub use input::{Change, Input};
pub use services::{Records, RestoreError, Services};
pub use state::{
    AfterKill, Attempt, Deployment, DeploymentState, Failures, Instance, MoveCause, Moving, PastExit, Phase,
    Progress, Service, ServiceRecord, Tally, Version, Waiting, Wanted,
};
