//! The API as a client meets it: a real control with its store behind a real socket, and an agent that speaks the
//! link but runs nothing.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod agent;
mod changes;
mod cloud;
mod cluster;
mod coverage;
mod document;
mod door;
mod exec;
mod images;
mod limits;
mod looks;
mod ports;
mod streams;
mod tokens;
mod troubled_store;
mod troubles;
