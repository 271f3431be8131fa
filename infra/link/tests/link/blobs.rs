//! Blobs from a server.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use kogge_link::{DialerHandle, Leader};
use kogge_model::digest::Digest;

use super::bed::{Cluster, soon};

async fn fetch(link: &DialerHandle, digest: Digest, offset: u64) -> Result<(u64, Bytes), String> {
    let mut blob = link.fetch(digest, offset).await.map_err(|reason| reason.text)?;
    let mut bytes = BytesMut::new();
    while let Some(piece) = soon("a piece", blob.pieces.next()).await {
        bytes.extend_from_slice(&piece.map_err(|reason| reason.text)?);
    }
    Ok((blob.size_bytes, bytes.freeze()))
}

#[tokio::test]
async fn blobs_come_whole_or_from_where_they_were_cut_off() {
    let north = Cluster::new("north");
    let server = north.server();
    let content: Bytes = (0..5_000_000u32).map(|at| at.to_le_bytes()[(at % 3) as usize]).collect();
    let digest = Digest::of(&content);
    north.blobs.0.lock().unwrap().insert(digest, content.clone());
    let mut agent = north.agent("a1", &[&server]);
    agent.connected().await;
    let link = &agent.link.handle;
    assert!(fetch(link, digest, 0).await == Ok((5_000_000, content.clone())));
    assert!(fetch(link, digest, 4_999_990).await == Ok((5_000_000, content.slice(4_999_990..))));
    assert!(fetch(link, digest, 5_000_000).await == Ok((5_000_000, Bytes::new())));
    assert!(fetch(link, digest, 5_000_001).await.unwrap_err().contains("has 5000000 bytes"));
    let missing = Digest::of(b"other");
    assert_eq!(
        fetch(link, missing, 0).await.unwrap_err(),
        format!("server {}: {missing} is not here", server.address)
    );
}

#[tokio::test]
async fn many_blobs_at_once_all_come() {
    let north = Cluster::new("north");
    let server = north.server();
    let content = Bytes::from(vec![7; 300_000]);
    let digest = Digest::of(&content);
    north.blobs.0.lock().unwrap().insert(digest, content.clone());
    let mut agent = north.agent("a1", &[&server]);
    agent.connected().await;
    // More than the server sends at once: the rest waits its turn.
    let fetches = (0..100).map(|_| fetch(&agent.link.handle, digest, 0));
    let all = soon("all blobs", futures_util::future::join_all(fetches)).await;
    assert!(all.iter().all(|one| *one == Ok((300_000, content.clone()))));
}

#[tokio::test]
async fn a_blob_comes_from_whichever_server_has_it() {
    let mut north = Cluster::new("north");
    let standby = north.server();
    let content = Bytes::from(vec![7; 300_000]);
    let digest = Digest::of(&content);
    north.blobs.0.lock().unwrap().insert(digest, content.clone());
    // Its own store: what it was given is not there.
    north.blobs = Arc::default();
    let leader = north.server();
    let leading = Digest::of(b"new");
    north.blobs.0.lock().unwrap().insert(leading, Bytes::from_static(b"new"));
    let both = vec![leader.address.clone(), standby.address.clone()];
    leader.servers.send_replace(both.clone());
    standby.leader.send_replace(Leader::Elsewhere(leader.address.clone()));
    let mut agent = north.agent("a1", &[&leader, &standby]);
    agent.connected().await;
    let link = &agent.link.handle;
    assert!(fetch(link, digest, 0).await == Ok((300_000, content.clone())));
    assert!(fetch(link, leading, 0).await == Ok((3, Bytes::from_static(b"new"))));
    let missing = Digest::of(b"other");
    let error = fetch(link, missing, 0).await.unwrap_err();
    assert!(
        both.iter().all(|server| error.contains(&format!("server {server}: {missing} is not here"))),
        "{error}"
    );

    // Nobody leads, and the agent starts what it was told to before.
    leader.stop().await;
    agent.failure().await;
    let link = &agent.link.handle;
    assert!(fetch(link, digest, 299_000).await == Ok((300_000, content.slice(299_000..))));
}
