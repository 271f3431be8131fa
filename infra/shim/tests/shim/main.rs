//! Real shims, real containers, real kernel; root needed, nothing left behind.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on ends there and says why"
)]

mod bundle;
mod exec;
mod fixture;
mod host_root;
mod isolation;
mod latency;
mod lease;
mod lifecycle;
mod limits;
mod logs;
mod recovery;
mod runc;
