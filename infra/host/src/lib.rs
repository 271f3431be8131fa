//! The process's own means: time, chance, supervised tasks, bounded mailboxes, listeners.
//!
//! Owns everything that every daemon needs from the operating system and the runtime, with no opinion about
//! what it is for. Refuses to know any word of the domain beyond `model`'s time and ids.
//!
//! Start reading at [`tasks`]: no future is ever started outside a [`tasks::TaskGroup`].

pub mod backoff;
pub mod clock;
pub mod listener;
pub mod memory;
pub mod open_files;
pub mod seed;
pub mod tasks;
pub mod tcp;
