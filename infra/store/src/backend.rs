//! The engines behind [`crate::Store`].

pub mod etcd;
pub mod redb;
pub mod zookeeper;
