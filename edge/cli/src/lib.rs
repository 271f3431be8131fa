//! The command line: arguments in, requests out, answers as tables or JSON.
//!
//! Owns the words people type, how answers look, and how failures are told (`error: …`, an empty line, `hint: …`).
//! Refuses to decide anything about services: names and wishes go to the API as they were typed. What has to run
//! in this very process (`kogge up`, `kogge shim`) is only parsed here and handed back to the binary.
//!
//! ```text
//!  arguments ──parse──▶ Cli ──run──▶ command/… ──▶ kogge_client ──▶ view ──Show──▶ standard output
//!                                        └── talk, progress, failures ──▶ standard error
//! ```
//!
//! Start reading at [`Command`] (everything one can type), then `command/deploy.rs`.

mod args;
mod command;
mod confirm;
mod context;
mod deploy_request;
mod failure;
mod git;
mod output;
mod parse;
mod progress;
mod quantity;
mod run;
mod stdin;
mod table;
mod terminal;
mod time;
mod token_file;

pub use args::{
    AgentArgs, AgentsDoorArgs, BackupArgs, Cli, Command, CopyArgs, Doors, Format, Global, JoinArgs,
    LeaveArgs, RestoreArgs, ServerRunArgs, StateAt, StateCommand, UpArgs,
};
pub use failure::{Failure, report};
pub use parse::{Parsed, parse};
pub use run::{Outcome, run};
