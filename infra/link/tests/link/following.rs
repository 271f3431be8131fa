//! Bulletins for all agents, notes back, and byte streams between servers.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::StreamExt as _;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_link::{Leader, Notes, ServerAddress, Tunnels};
use kogge_model::digest::Digest;
use kogge_model::id::AgentId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use tokio::sync::watch;

use crate::bed::{Agent, Cluster, soon, until};

/// The newest note of each agent that follows.
pub(crate) struct Noted(watch::Sender<BTreeMap<AgentId, Bytes>>);

impl Default for Noted {
    fn default() -> Self {
        Self(watch::channel(BTreeMap::new()).0)
    }
}

impl Notes for Noted {
    fn heard(&self, agent: &AgentId, note: Bytes) {
        self.0.send_modify(|notes| drop(notes.insert(agent.clone(), note)));
    }

    fn gone(&self, agent: &AgentId) {
        self.0.send_modify(|notes| drop(notes.remove(agent)));
    }
}

impl Noted {
    async fn is(&self, agent: &AgentId, expected: Option<&str>) {
        let mut notes = self.0.subscribe();
        let is_so = |notes: &BTreeMap<AgentId, Bytes>| {
            notes.get(agent).map(|note| &note[..]) == expected.map(str::as_bytes)
        };
        notes.wait_for(is_so).await.unwrap();
    }
}

/// Answers with what it is asked.
#[derive(Default)]
pub(crate) struct Echo;

impl Tunnels for Echo {
    fn opened(&self, server: &str, stream: DuplexStream) {
        assert_eq!(server, "s1");
        TaskGroup::new("echo").spawn("echo", OnPanic::Log, async move {
            let (mut reader, mut writer) = tokio::io::split(stream);
            tokio::io::copy(&mut reader, &mut writer).await.unwrap();
            writer.shutdown().await.unwrap();
        });
    }
}

async fn reads(agent: &mut Agent, expected: &Bytes) {
    until(&mut agent.link.bulletin, |bulletin| bulletin == expected).await;
}

#[tokio::test]
async fn every_agent_gets_the_newest_bulletin_whenever_it_comes() {
    let north = Cluster::new("north");
    let server = north.server();
    let long = Bytes::from(vec![7; 300_000]);
    server.bulletin.send_replace(long.clone());
    let mut first = north.agent("a1", &[&server]);
    reads(&mut first, &long).await;
    server.bulletin.send_replace(Bytes::from_static(b"newer"));
    let mut second = north.agent("a2", &[&server]);
    reads(&mut first, &Bytes::from_static(b"newer")).await;
    reads(&mut second, &Bytes::from_static(b"newer")).await;
}

#[tokio::test]
async fn a_bulletin_stays_in_force_while_nobody_leads_and_the_next_leader_goes_on() {
    let north = Cluster::new("north");
    let (one, two) = (north.server(), north.server());
    two.leader.send_replace(Leader::Elsewhere(one.address.clone()));
    one.bulletin.send_replace(Bytes::from_static(b"of the first"));
    let mut agent = north.agent("a1", &[&one, &two]);
    reads(&mut agent, &Bytes::from_static(b"of the first")).await;
    one.leader.send_replace(Leader::Elsewhere(two.address.clone()));
    two.bulletin.send_replace(Bytes::from_static(b"of the second"));
    two.leader.send_replace(Leader::Here);
    reads(&mut agent, &Bytes::from_static(b"of the second")).await;
}

#[tokio::test]
async fn the_newest_note_of_an_agent_is_heard_until_it_is_gone() {
    let north = Cluster::new("north");
    let server = north.server();
    let agent = north.agent("a1", &[&server]);
    agent.note.send_replace(Bytes::from_static(b"seen 1"));
    let of = AgentId::new("a1");
    soon("a note", north.notes.is(&of, Some("seen 1"))).await;
    agent.note.send_replace(Bytes::from_static(b"seen 2"));
    soon("another note", north.notes.is(&of, Some("seen 2"))).await;
    drop(agent.link);
    soon("its end", north.notes.is(&of, None)).await;
}

#[tokio::test]
async fn a_server_reaches_into_another_one_and_an_end_of_writing_is_no_end_of_reading() {
    let north = Cluster::new("north");
    let (one, two) = (north.server(), north.server());
    let mut stream = one.handle.tunnel(&two.address).await.unwrap();
    let sent = vec![3; 200_000];
    let (mut reader, mut writer) = tokio::io::split(&mut stream);
    let writing = async {
        writer.write_all(&sent).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let mut echoed = vec![0; 200_000];
    let reading = reader.read_exact(&mut echoed);
    let ((), read) = soon("an echo", async { tokio::join!(writing, reading) }).await;
    assert_eq!(read.unwrap(), sent.len());
    assert_eq!(echoed, sent);
}

#[tokio::test]
async fn servers_of_other_clusters_and_dead_ones_cannot_be_reached() {
    let (north, south) = (Cluster::new("north"), Cluster::new("south"));
    let (ours, theirs) = (north.server(), south.server());
    let error = ours.handle.tunnel(&theirs.address).await.unwrap_err().reason();
    assert!(error.text.contains("south"), "{error}");
    let gone: ServerAddress = theirs.stop().await.into();
    let error = ours.handle.tunnel(&gone).await.unwrap_err().reason();
    assert!(error.text.contains("cannot reach server"), "{error}");
}

#[tokio::test]
async fn a_server_fetches_blobs_from_another_one() {
    let north = Cluster::new("north");
    let (one, two) = (north.server(), north.server());
    let content = Bytes::from(vec![5; 150_000]);
    let digest = Digest::of(&content);
    north.blobs.0.lock().unwrap().insert(digest, content.clone());
    let mut blob = one.handle.fetch(&two.address, digest, 100_000).await.unwrap();
    assert_eq!(blob.size_bytes, 150_000);
    let mut received = Vec::new();
    while let Some(piece) = soon("a piece", blob.pieces.next()).await {
        received.extend_from_slice(&piece.unwrap());
    }
    assert_eq!(received, content[100_000..]);
    assert!(one.handle.fetch(&two.address, Digest::of(b"nothing"), 0).await.is_err());
}
