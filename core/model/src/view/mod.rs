//! The words of the native HTTP API: what a client sends and is shown, one noun a file.
//!
//! Names are told as people write them (`hello`, `shop/worker`, `hello.2`), times as RFC 3339 text, durations in
//! milliseconds, sizes in bytes. Answers may gain fields; requests with fields nobody knows are refused.

mod app;
mod change;
mod deploy;
mod deploy_spec;
mod deployment;
mod doors;
mod event;
pub mod exec;
mod image;
mod instance;
mod joining;
mod log;
mod moment;
mod node;
mod problem;
mod revision;
mod scale;
mod service;
mod status;
mod token;
mod why;

pub use app::{AppView, CreateAppRequest};
pub use change::{ChangeView, FieldChange};
pub use deploy::{DeployRequest, HealthRequest};
pub use deploy_spec::check_text;
pub use deployment::{DeploymentState, DeploymentView};
pub use doors::DoorsView;
pub use event::{EventKind, EventView};
pub use image::{BuildBaseRequest, ImageView, ProgressView};
pub use instance::{InstanceView, PortView};
pub use joining::{InvitationView, InviteRequest};
pub use log::{LogLineView, LogQuery, LogSource};
pub use moment::{Moment, MomentError};
pub use node::{DrainRequest, LabelRequest, NodeResources, NodeRole, NodeView, ReserveRequest};
pub use problem::Problem;
pub use revision::RevisionView;
pub use scale::{ScaleRequest, ServicesRequest};
pub use service::ServiceView;
pub use status::StatusView;
pub use token::{CreateTokenRequest, CreatedTokenView, TokenState, TokenView};
pub use why::{DecisionView, WhyView};
