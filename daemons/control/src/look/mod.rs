//! What only reads: views of the cloud for people and machines.

mod app;
mod deployment;
mod instance;
mod node;
mod service;
mod status;
mod why;

pub(crate) use instance::InstanceFacts;
pub(crate) use node::state as node_state;
