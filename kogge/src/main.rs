//! The binary: configuration, wiring, start and stop.
//!
//! One program for everything: `kogge up` runs the cloud, the agent starts `kogge shim DIR` for each task, git
//! starts `kogge git-hook` for each push, and everything else is a client of the API. Deliberately absent here: any
//! decision. What is long-running stands in `daemons/`, what people type in `edge/cli`.
//!
//! Start reading at `up/mod.rs`; the ports of the daemons are bound in `adapters/`.

mod adapters;
mod cluster;
mod hook;
mod process;
mod state;
mod told;
mod up;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use kogge_cli::{Failure, Outcome, Parsed};

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    // The supervisor of a task is small and has one thread: it comes before everything else.
    if let [_, command, directory] = words.as_slice()
        && command == "shim"
    {
        return kogge_shim::process::run(&PathBuf::from(directory));
    }
    if words.get(1).is_some_and(|command| command == hook::COMMAND) {
        return hook::run();
    }
    match kogge_cli::parse(words) {
        Ok(Parsed::Text(text)) => {
            // Nobody to tell is no failure: `kogge --help | head`.
            let _ = write!(std::io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Ok(Parsed::Cli(cli)) => match run(*cli) {
            Ok(code) => ExitCode::from(code),
            Err(failure) => told(&failure),
        },
        Err(failure) => told(&failure),
    }
}

fn told(failure: &Failure) -> ExitCode {
    let mut error = std::io::stderr();
    let is_colored = error.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let _ = kogge_cli::report(failure, &mut error, is_colored);
    ExitCode::from(failure.code())
}

fn run(cli: kogge_cli::Cli) -> Result<u8, Failure> {
    let client = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    let outcome = client.block_on(Box::pin(kogge_cli::run(cli)));
    // A command that still reads the terminal must not hold the process.
    client.shutdown_background();
    match outcome? {
        Outcome::Exit(code) => Ok(code),
        Outcome::Up(args, global) => up::run(&args, &global),
        Outcome::Server(args, global) => cluster::run_server(&args, &global),
        Outcome::Join(args, global) => cluster::join(&args, &global),
        Outcome::Leave(args, global) => cluster::leave(&args, &global),
        Outcome::Agent(args, global) => cluster::run_agent(&args, &global),
        Outcome::State(command, global) => state::run(&command, &global),
        Outcome::Shim(_) => Err(Failure::usage("kogge shim takes one directory; the agent starts it")),
    }
}
