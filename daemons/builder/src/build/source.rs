//! The files of a commit, written into a directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use kogge_model::reason::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout, Command};

use crate::build::BuildError;

/// Bytes moved at once.
const CHUNK: usize = 256 * 1024;

/// Where the objects of a push in progress can be seen: from the hook's directory with its environment alone.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) directory: PathBuf,
    pub(crate) git: BTreeMap<String, String>,
}

/// Writes the files of `commit` into `directory`.
pub(crate) async fn write(
    origin: &Origin,
    commit: &str,
    directory: &Path,
    max_bytes: u64,
) -> Result<(), BuildError> {
    let machine =
        |what: &str, error: std::io::Error| BuildError::Machine(Reason::new(format!("{what}: {error}")));
    let mut archive = Command::new("git");
    archive
        .args(["archive", "--format=tar", commit])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs(&origin.git)
        .current_dir(&origin.directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut unpack = Command::new("tar");
    unpack
        .args(["--extract", "--no-same-owner", "--directory"])
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut archive = archive.spawn().map_err(|error| machine("cannot run git archive", error))?;
    let mut unpack = unpack.spawn().map_err(|error| machine("cannot run tar", error))?;
    let output = archive.stdout.take().expect("its standard output is a pipe");
    let input = unpack.stdin.take().expect("its standard input is a pipe");
    copy(output, input, max_bytes).await?;
    let git_ended = archive.wait().await.map_err(|error| machine("cannot wait for git archive", error))?;
    let tar_ended = unpack.wait().await.map_err(|error| machine("cannot wait for tar", error))?;
    if git_ended.success() && tar_ended.success() {
        return Ok(());
    }
    let text = format!(
        "the files of commit {commit} cannot be written (git archive: {git_ended}, tar: {tar_ended})"
    );
    Err(BuildError::Machine(Reason::new(text).with_hint("is the disk full?")))
}

async fn copy(mut from: ChildStdout, mut to: ChildStdin, max_bytes: u64) -> Result<(), BuildError> {
    let mut buffer = vec![0u8; CHUNK];
    let mut total = 0u64;
    loop {
        let count = from.read(&mut buffer).await.unwrap_or(0);
        if count == 0 {
            return Ok(());
        }
        total += count as u64;
        if total > max_bytes {
            let text = format!("the files of the commit are larger than {} MiB", max_bytes >> 20);
            return Err(BuildError::Commit(Reason::new(text)));
        }
        // A tar that has ended says why by its exit code.
        if to.write_all(&buffer[..count]).await.is_err() {
            return Ok(());
        }
    }
}
