//! Programs of the machine that make beds.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use super::BedError;
use crate::wait;

/// No program that is run here takes nearly as long, also on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs a program to its end; gives its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, BedError> {
    let shown = || format!("{command:?}").replace('"', "");
    let name = shown();
    let output = to_end(command).map_err(BedError::io(format!("run {name}")))?;
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

/// Runs a program without input to its end; one that does not end is killed, and what it said until then is told.
pub(crate) fn to_end(command: &mut Command) -> io::Result<Output> {
    ends_within(PATIENCE, command)
}

/// What it says goes to files: whoever else holds its outputs open keeps nobody waiting.
fn ends_within(limit: Duration, command: &mut Command) -> io::Result<Output> {
    let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(err.try_clone()?);
    let mut child = command.spawn()?;
    if let Some(status) = wait::within(limit, || child.try_wait().transpose()) {
        return Ok(Output { status: status?, stdout: read(&mut out)?, stderr: read(&mut err)? });
    }
    // It is gone, or will be: nobody waits for it any more.
    child.kill()?;
    let said = String::from_utf8_lossy(&read(&mut err)?).trim().to_owned();
    Err(io::Error::new(io::ErrorKind::TimedOut, format!("it did not end within {limit:?}: {said}")))
}

fn read(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::Signal;

    use super::*;
    use crate::cluster::ProcessId;

    #[test]
    fn what_a_program_says_is_told_also_when_it_fails() {
        assert_eq!(run("echo a  b").unwrap(), "a b\n");
        let failed = output(Command::new("sh").args(["-c", "echo out; echo why >&2; exit 3"])).unwrap_err();
        assert!(failed.to_string().ends_with("failed: why"), "{failed}");
    }

    #[test]
    fn a_program_that_does_not_end_is_killed() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo busy >&2; exec sleep 1000"]);
        let error = ends_within(Duration::from_millis(300), &mut command).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().contains("busy"), "{error}");
    }

    #[test]
    fn what_a_program_leaves_running_is_not_waited_for() {
        let told = output(Command::new("sh").args(["-c", "sleep 1000 & echo $!"])).unwrap();
        let left = ProcessId::of(told.trim().parse().unwrap()).expect("it runs on");
        left.signal(Signal::SIGKILL).unwrap();
    }
}
