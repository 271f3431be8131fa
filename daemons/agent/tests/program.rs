//! `kogge shim DIR` and nothing else, for the tests.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [command, dir] if command == "shim" => kogge_shim::process::run(Path::new(dir)),
        _ => ExitCode::FAILURE,
    }
}
