//! Rivals, started by the bench with data and sockets of their own, and ended by it.

pub(crate) mod docker;
pub(crate) mod etcd;
pub(crate) mod nginx;
