//! Real shims, real containers, real kernel; root needed, nothing left behind.

mod bundle;
mod exec;
mod fixture;
mod host_root;
mod isolation;
mod lifecycle;
mod limits;
mod logs;
mod recovery;
mod runc;
