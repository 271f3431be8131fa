//! The hook's own process: small, without a runtime.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::hook::wire::{Ask, RefUpdate, Say};

/// Name of the variable that tells the hook where the builder listens.
pub const SOCKET: &str = "KOGGE_HOOK_SOCKET";
/// Name of the variable that tells the hook whose repository it stands in.
pub const APP: &str = "KOGGE_HOOK_APP";

/// Asks the builder and passes its lines on to `out`; tells whether the push may go through.
///
/// # Errors
/// When the builder is not there or goes away: the push is declined then.
pub fn ask(
    environment: BTreeMap<String, String>,
    input: impl BufRead,
    out: &mut impl Write,
) -> io::Result<bool> {
    let missing =
        |name: &str| io::Error::other(format!("{name} is not set: this hook is run by git for kogge"));
    let socket = environment.get(SOCKET).ok_or_else(|| missing(SOCKET))?.clone();
    let app = environment.get(APP).ok_or_else(|| missing(APP))?.clone();
    let directory = std::env::current_dir()?;
    let git = environment.into_iter().filter(|(name, _)| name.starts_with("GIT_")).collect();
    let mut updates = Vec::new();
    for line in input.lines() {
        let line = line?;
        updates.push(RefUpdate::parse(&line).ok_or_else(|| io::Error::other(format!("git sent {line:?}")))?);
    }
    converse(Path::new(&socket), &Ask { app, directory, git, updates }, out)
}

fn converse(socket: &Path, ask: &Ask, out: &mut impl Write) -> io::Result<bool> {
    let mut stream = UnixStream::connect(socket)?;
    let mut line = serde_json::to_vec(ask)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    for line in BufReader::new(stream).lines() {
        match serde_json::from_str(&line?)? {
            Say::Line(text) => {
                writeln!(out, "{text}")?;
                out.flush()?;
            }
            Say::Accept => return Ok(true),
            Say::Decline => return Ok(false),
        }
    }
    Err(io::Error::other("kogge ended while it worked on this push: push again"))
}
