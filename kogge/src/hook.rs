//! `kogge git-hook`: git's pre-receive hook, a process of its own.

use std::io::Write;
use std::process::ExitCode;

use kogge_builder::hook::process;

/// What the hook's script calls.
pub(crate) const COMMAND: &str = "git-hook";

/// Asks the builder; the exit code accepts or declines the push.
pub(crate) fn run() -> ExitCode {
    let environment = std::env::vars().collect();
    match process::ask(environment, std::io::stdin().lock(), &mut std::io::stdout()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // git passes this on to the pusher.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}
