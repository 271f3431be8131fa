//! Real shims, real containers, real kernel; root needed, nothing left behind.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod bundle;
mod exec;
mod fixture;
mod host_root;
mod isolation;
mod latency;
mod lifecycle;
mod limits;
mod logs;
mod recovery;
mod runc;
