//! The agent with real images, supervisors, networks and processes. Needs root.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod busybox;
mod cloud;
mod control;
mod endings;
mod fetching;
mod health;
mod leaving;
mod rough_link;
mod running;
mod takeover;
