//! The builder's end of the hook's socket.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};

use crate::hook::wire::{Ask, Say};

/// Longest question: a push of some thousand refs.
const MAX_ASK_BYTES: u64 = 1 << 20;

/// Hooks that come in.
pub(crate) struct Hooks {
    listener: UnixListener,
}

/// The way back to one hook.
pub(crate) struct Answer {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Hooks {
    /// Listens where hooks are told to ask; only root may.
    pub(crate) fn bind(path: PathBuf) -> io::Result<Self> {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener })
    }

    /// The next hook.
    pub(crate) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

impl Answer {
    /// Reads the hook's question.
    pub(crate) async fn read(stream: UnixStream) -> io::Result<(Ask, Self)> {
        let (reader, writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        (&mut reader).take(MAX_ASK_BYTES).read_until(b'\n', &mut line).await?;
        let ask = serde_json::from_slice(&line)?;
        Ok((ask, Self { reader, writer }))
    }

    /// Says something to the pusher.
    pub(crate) async fn say(&mut self, say: Say) -> io::Result<()> {
        let mut line = serde_json::to_vec(&say)?;
        line.push(b'\n');
        self.writer.write_all(&line).await
    }

    /// Resolves when the hook is gone: the pusher has given up.
    pub(crate) async fn gone(&mut self) {
        let mut rest = [0u8; 64];
        // A hook says nothing more; whatever comes, only its end counts.
        while matches!(self.reader.read(&mut rest).await, Ok(n) if n > 0) {}
    }
}
