//! Blobs from the servers' image stores, each on a connection of its own, so that orders never wait behind one.

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use kogge_model::digest::Digest;
use kogge_model::reason::Reason;
use tonic::{Status, Streaming};

use super::DialerHandle;
use super::connection::Client;
use crate::address::ServerAddress;
use crate::bounds::FETCH_STALL;
use crate::wire::{BlobPart, FetchRequest, blob_part};

/// A blob on its way. Nobody has checked it against its digest yet.
pub struct RemoteBlob {
    /// Its whole size.
    pub size_bytes: u64,
    /// What follows the offset; an error is the last.
    pub pieces: BoxStream<'static, Result<Bytes, Reason>>,
}

impl DialerHandle {
    /// Fetches a blob, from `offset` on, from the first server that has it. What was cut off can be gone on with from
    /// where it stopped, also at another server.
    ///
    /// # Errors
    /// When no server can be reached that has the blob: what each of them said.
    pub async fn fetch(&self, digest: Digest, offset: u64) -> Result<RemoteBlob, Reason> {
        let mut failures = Vec::new();
        for server in self.sources() {
            match self.fetch_from(&server, digest, offset).await {
                Ok(blob) => return Ok(blob),
                Err(reason) => failures.push(reason.text),
            }
        }
        Err(Reason::new(failures.join("; ")))
    }

    async fn fetch_from(
        &self,
        server: &ServerAddress,
        digest: Digest,
        offset: u64,
    ) -> Result<RemoteBlob, Reason> {
        let client = self.shared.connect(server).await.map_err(|error| error.reason())?.client;
        open(client, server, digest, offset).await
    }

    fn sources(&self) -> Vec<ServerAddress> {
        let state = self.state();
        let followed = state.borrow().server().cloned();
        let at = self.shared.at.load_full().filter(|_| followed.is_some());
        let others = self.shared.servers.load_full();
        let is_followed =
            |other: &ServerAddress| Some(other) == followed.as_ref() || Some(other) == at.as_deref();
        let others = others.iter().filter(|other| !is_followed(other)).cloned().collect();
        in_turn(others, at.as_deref(), |other| self.shared.spares.stands(other), chance())
    }
}

/// In which order servers are asked for a blob: first those that do not lead and can surely be reached, for whoever
/// leads has more to do; of these each agent, each time, begins with another one.
fn in_turn(
    mut others: Vec<ServerAddress>,
    followed: Option<&ServerAddress>,
    can_be_reached: impl Fn(&ServerAddress) -> bool,
    chance: usize,
) -> Vec<ServerAddress> {
    let first = chance % others.len().max(1);
    others.rotate_left(first);
    let (near, far): (Vec<_>, Vec<_>) = others.into_iter().partition(can_be_reached);
    near.into_iter().chain(followed.cloned()).chain(far).collect()
}

/// Without chance from the kernel, everybody asks in the same order: that works, too.
fn chance() -> usize {
    kogge_host::seed::draw().map_or(0, |seed| usize::from(seed[0]))
}

/// Opens a blob on a connection of its own.
pub(crate) async fn open(
    mut client: Client,
    server: &ServerAddress,
    digest: Digest,
    offset: u64,
) -> Result<RemoteBlob, Reason> {
    let request = FetchRequest { digest: digest.to_string(), offset };
    // Its turn may take a while to come.
    let answer = tokio::time::timeout(FETCH_STALL, client.fetch(request)).await;
    let answer = answer.map_err(|_| Reason::new(format!("server {server} is too busy to send {digest}")))?;
    let failed = |status: Status| Reason::new(format!("server {server}: {}", status.message()));
    let mut parts = answer.map_err(failed)?.into_inner();
    let first = parts.message().await.map_err(failed)?;
    let Some(blob_part::Part::SizeBytes(size_bytes)) = first.and_then(|first| first.part) else {
        return Err(Reason::new(format!("server {server} sends {digest} in a way that cannot be read")));
    };
    let left = size_bytes.saturating_sub(offset);
    Ok(RemoteBlob { size_bytes, pieces: stream::unfold(Some((parts, left)), next).boxed() })
}

type Reading = Option<(Streaming<BlobPart>, u64)>;

/// The next piece; an end before the blob's end is an error.
async fn next(reading: Reading) -> Option<(Result<Bytes, Reason>, Reading)> {
    let (mut parts, left) = reading?;
    let failed = |text: String| Some((Err(Reason::new(text)), None));
    match tokio::time::timeout(FETCH_STALL, parts.message()).await {
        Err(_) => failed("the server has stopped sending".to_owned()),
        Ok(Err(status)) => failed(format!("the blob was cut off: {}", status.message())),
        Ok(Ok(None)) if left == 0 => None,
        Ok(Ok(None)) => failed(format!("the blob was cut off, {left} bytes are missing")),
        Ok(Ok(Some(BlobPart { part: Some(blob_part::Part::Data(piece)) }))) => {
            match left.checked_sub(u64::try_from(piece.len()).unwrap_or(u64::MAX)) {
                Some(left) => Some((Ok(piece), Some((parts, left)))),
                None => failed("the server sends more than the blob has".to_owned()),
            }
        }
        Ok(Ok(Some(_))) => failed("the server sends what cannot be read".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str) -> ServerAddress {
        format!("{name}:7401").parse().unwrap()
    }

    fn order(others: &[&str], followed: Option<&str>, near: &[&str], chance: usize) -> String {
        let others = others.iter().map(|name| server(name)).collect();
        let can_be_reached = |other: &ServerAddress| near.iter().any(|name| server(name) == *other);
        let order = in_turn(others, followed.map(server).as_ref(), can_be_reached, chance);
        order.iter().map(|server| server.host()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn whoever_leads_is_asked_after_those_that_stand_ready_and_before_those_that_may_be_gone() {
        assert_eq!(order(&["b", "c"], Some("a"), &["b", "c"], 0), "b c a");
        assert_eq!(order(&["b", "c"], Some("a"), &["b", "c"], 3), "c b a");
        assert_eq!(order(&["b", "c"], Some("a"), &["c"], 0), "c a b");
        assert_eq!(order(&["b", "c"], Some("a"), &[], 1), "a c b");
        assert_eq!(order(&["a", "b", "c"], None, &["c"], 1), "c b a");
        assert_eq!(order(&[], Some("a"), &[], 7), "a");
    }
}
