//! A short answer for clients beyond the limit, so that they know it is us and not the network.

use std::sync::Arc;
use std::time::Duration;

use kogge_host::tasks::OnPanic;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::router::Inner;

/// Clients that are being refused at the same time; beyond that, connections are closed without a word.
const MAX_REFUSALS: usize = 64;

/// How long a refused client may take to read its answer.
const LINGER: Duration = Duration::from_secs(1);

const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
content-type: text/plain; charset=utf-8\r\n\
cache-control: no-store\r\n\
retry-after: 1\r\n\
x-kogge-error: connections\r\n\
connection: close\r\n\
content-length: 91\r\n\
\r\n\
503 Service Unavailable\nthe router has as many connections as it may\n\nhint: try again soon\n";

/// Bounds the refusals under way.
#[derive(Debug)]
pub(crate) struct Refusals(Arc<Semaphore>);

impl Default for Refusals {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_REFUSALS)))
    }
}

impl Refusals {
    /// Answers 503 and closes.
    pub(crate) fn refuse(&self, router: &Inner, stream: TcpStream) {
        let Ok(permit) = Arc::clone(&self.0).try_acquire_owned() else { return };
        drop(router.clients.spawn("refusal", OnPanic::Log, async move {
            // Whether the client hears it is its own affair.
            let _ = tokio::time::timeout(LINGER, answer(stream)).await;
            drop(permit);
        }));
    }
}

/// Closing before the client's request was read would reset the connection and lose the answer, so read on until the
/// client closes.
async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(ANSWER).await?;
    stream.shutdown().await?;
    let mut sink = [0; 1024];
    while stream.read(&mut sink).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())));
    }
}
