//! The engines behind [`crate::Store`].

pub mod redb;
