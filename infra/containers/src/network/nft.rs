//! Running the `nft` program.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::error::NetworkError;

/// Far longer than any change takes; a kernel that does not answer must not hold a task's start for ever.
const DEADLINE: Duration = Duration::from_secs(20);

/// Applies `script` as one transaction: all of it or nothing.
pub(crate) async fn apply(script: &str) -> Result<(), NetworkError> {
    run(&["-f", "-"], script).await.map(drop)
}

/// Runs `nft` with `args` and returns what it prints.
pub(crate) async fn run(args: &[&str], input: &str) -> Result<String, NetworkError> {
    let mut child = command(args).spawn().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => NetworkError::NoNft { source },
        _ => NetworkError::Nft { message: format!("it could not be started: {source}") },
    })?;
    let failed = |source: io::Error| NetworkError::Nft { message: source.to_string() };
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    let talk = async {
        // An early end shows in its exit status, with a better reason than a broken pipe.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        child.wait_with_output().await
    };
    let output = match tokio::time::timeout(DEADLINE, talk).await {
        Ok(output) => output.map_err(failed)?,
        Err(_) => return Err(NetworkError::Nft { message: "it did not end in time".to_owned() }),
    };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| line.contains("Error")).or_else(|| text.lines().next());
    Err(NetworkError::Nft { message: line.unwrap_or("it failed and said nothing").trim().to_owned() })
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new("nft");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    // Daemons are often started without the directories of system programs.
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin")).env("LC_ALL", "C");
    command
}
