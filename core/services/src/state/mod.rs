//! What is known of each service: one enum a lifecycle, its machine drawn above it.
//!
//! [`Service`] is the whole of one service: what is wanted, its [`Instance`]s, its [`Deployment`].

mod deployment;
mod instance;
mod moving;
mod service;
mod version;

pub use deployment::{Deployment, DeploymentState, Failures, Progress};
pub use instance::{AfterKill, Attempt, Instance, PastExit, Phase, Waiting};
pub use moving::{MoveCause, Moving};
pub use service::{Service, ServiceRecord, Tally, Wanted};
pub use version::Version;
