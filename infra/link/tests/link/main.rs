//! Servers and agents over real sockets on the loopback interface, with TLS as shipped.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bed;
mod blobs;
mod certificates;
mod clones;
mod crowds;
mod following;
// The generated code names it.
#[path = "../../src/frames.rs"]
mod frames;
mod hostile;
mod joining;
mod leaders;
mod raw;
mod reaching;
mod relay;
mod renewal;
mod sessions;
mod silence;
mod versions;

// Frames are told apart by what is generated.
use raw::wire;
