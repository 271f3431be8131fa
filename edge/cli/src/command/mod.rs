//! One command a file: ask the API, tell the answer.

pub(crate) mod apps;
pub(crate) mod change;
pub(crate) mod completion;
pub(crate) mod create;
pub(crate) mod deploy;
pub(crate) mod destroy;
pub(crate) mod doors;
pub(crate) mod down;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod git;
pub(crate) mod image;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod node;
pub(crate) mod node_rules;
pub(crate) mod ps;
pub(crate) mod server;
pub(crate) mod services;
pub(crate) mod status;
pub(crate) mod token;
pub(crate) mod why;

use std::path::PathBuf;

/// The app of the git checkout we stand in.
fn app_here() -> Option<String> {
    crate::git::app(&here())
}

fn here() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."))
}
