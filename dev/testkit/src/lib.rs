//! Builders and the harness of end-to-end tests.
//!
//! Owns a cloud under test: the real binary, in a data directory of its own, with ephemeral doors, ended and looked
//! after when the test is over; and a [`cluster`] of machines that can be cut off, paused and killed. Refuses to know how anything inside works: it sees what a person sees.
//!
//! Start reading at [`CloudUnderTest`], [`cluster::Bed`], then [`image`].

pub mod campaign;
pub mod cloud;
pub mod cluster;
pub mod herd;
pub mod image;
pub mod remains;
pub mod wait;

pub use cloud::{Answer, CloudUnderTest};
