//! The router's long-running tasks.

pub(crate) mod accept;
pub(crate) mod probe;
pub(crate) mod serve;
pub(crate) mod sweep;
pub(crate) mod tables;
