//! Programs of the machine that make beds.

use std::process::{Command, Stdio};

use super::BedError;

/// Runs a program to its end; gives its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, BedError> {
    let shown = || format!("{command:?}").replace('"', "");
    let name = shown();
    let output = command.stdin(Stdio::null()).output().map_err(BedError::io(format!("run {name}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(BedError::Program { program: name, said });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `program words…`, with words that are parted by spaces.
pub(crate) fn run(line: &str) -> Result<String, BedError> {
    let mut words = line.split_whitespace();
    let program = words.next().expect("a line names its program");
    output(Command::new(program).args(words))
}
