//! The builder: a push becomes an image, the image a release.
//!
//! Owns the git repositories of the apps, the way of a push through them, and the builds. Refuses to know how an
//! image is stored, how a release is rolled out and what an app is: those are [`ports`], adapted by the binary.
//!
//! ```text
//!  git push ──HTTP──▶ git http-backend ──▶ pre-receive hook ──socket──▶ push: check ▶ queue ▶ build ▶ release
//!                                               ▲                                                     │
//!                       the pusher's terminal ◀─┴────────────────── lines, then accept or decline ◀───┘
//! ```
//!
//! The hook runs while git still holds the new objects in quarantine, so a push that is declined leaves nothing
//! behind and its ref does not move.
//!
//! Start reading at [`push`], then [`git`] and [`build`].

pub mod build;
mod config;
pub mod git;
pub mod hook;
pub mod ports;
pub mod push;
mod run;

pub use config::Config;
pub use run::{Builder, StartError};
