//! The pre-receive hook: git's word to us, and ours back, over a socket.
//!
//! git runs the hook as a child of `http-backend`, with the new objects in quarantine: only processes with the
//! hook's own environment can see them (git-receive-pack(1), "Quarantine Environment"). So the hook, which is this
//! program, sends that environment along.

pub mod process;
mod server;
mod wire;

pub(crate) use server::{Answer, Hooks};
pub use wire::{Ask, RefUpdate, Say};
