//! The shim itself: one process, one thread, one loop, for one task.
//!
//! ```text
//!            spawner ◀── started | failed ──┐
//!  shim.json, bundle ──▶ prepare ──▶ helper ─┴▶ supervisor ──▶ exit.json ──▶ delete ──▶ end
//!                                     (fork)     │  ▲  ▲
//!                      output pipes ──▶ log/ ◀───┘  │  └── SIGCHLD (signalfd)
//!                                            shim.sock ◀── clients
//! ```
//!
//! No thread, no runtime: the library that sets containers up forks. Start reading at [`supervisor`].

mod children;
mod connection;
mod ending;
mod exec;
mod helper;
mod lease_timer;
mod log_writer;
mod logs;
mod mounts;
mod output;
mod pace;
mod prepare;
mod requests;
mod supervisor;
mod tenancy;
mod watchdog;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use crate::protocol::{Answer, AnswerLine, Failure, Fault};

/// The whole life of the shim for the directory `dir`. The program must call this first thing, before any
/// thread is started.
///
/// What it inherits: standard input is the locked `shim.lock`, standard output takes the one line that says
/// whether the task was started, standard error is `shim.log`.
#[must_use]
pub fn run(dir: &Path) -> ExitCode {
    match prepare::prepare(dir) {
        Ok(supervisor) => supervisor.run(),
        Err(error) => {
            tell_spawner(Answer::Failed(Failure::new(Fault::System, chain(&error))));
            ExitCode::FAILURE
        }
    }
}

/// Writes the one line for the spawner.
fn tell_spawner(answer: Answer) {
    let mut line = serde_json::to_vec(&AnswerLine::new(answer)).expect("an answer is plain data");
    line.push(b'\n');
    let mut stdout = std::io::stdout().lock();
    // A spawner that has gone finds out by connecting.
    let _ = stdout.write_all(&line).and_then(|()| stdout.flush());
}

/// An error and its causes in one line, each said once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
