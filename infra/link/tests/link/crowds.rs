//! Many come at once, and some of them too early: servers spend their time on those whom it helps.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::select_all;
use futures_util::stream;
use kogge_host::clock;
use kogge_link::{Leader, ListenerConfig, Timing};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::bed::{Cluster, Server, soon};
use super::raw::connect;
use super::raw::wire::{AgentFrame, Hello, agent_frame, control_frame};

/// Far longer than a test may take: nothing ends for lack of patience.
const FOREVER: Duration = Duration::from_secs(600);
/// More than may shake hands at a server that does not lead.
const CROWD: usize = 48;

fn patient() -> ListenerConfig {
    let config = Cluster::config();
    let timing = Timing { handshake: FOREVER, unled: FOREVER, ..config.timing };
    ListenerConfig { timing, ..config }
}

/// Connections on which nothing is said: their handshakes never end.
async fn silent_crowd(server: &Server) -> Vec<TcpStream> {
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        crowd.push(TcpStream::connect(server.handle.address()).await.unwrap());
    }
    crowd
}

async fn closed(stream: &mut TcpStream) {
    // An end or a reset; a server says nothing before it is greeted.
    assert!(!matches!(stream.read(&mut [0]).await, Ok(1..)));
}

#[tokio::test]
async fn a_server_that_does_not_lead_sends_a_crowd_on_without_a_handshake() {
    let north = Cluster::new("north");
    let (server, leader) = (north.server_with(patient(), None), north.server());
    server.leader.send_replace(Leader::Elsewhere(leader.address.clone()));
    let mut crowd = silent_crowd(&server).await;
    let mut left = crowd.iter_mut().map(|stream| Box::pin(closed(stream))).collect::<Vec<_>>();
    for _ in 0..CROWD - 32 {
        left = soon("those beyond the bound being sent on", select_all(left)).await.2;
    }
    let more = tokio::time::timeout(Duration::from_millis(100), select_all(left)).await;
    assert!(more.is_err(), "those within the bound may go on");
}

#[tokio::test]
async fn a_leader_hears_agents_beside_a_crowd_that_says_nothing() {
    let north = Cluster::new("north");
    let server = north.server_with(patient(), None);
    let _crowd = silent_crowd(&server).await;
    let mut agent = north.agent("a1", &[&server]);
    agent.connected().await;
}

/// What an agent hears that comes while nobody leads, once that server does.
async fn answer_of_the_next_leader(config: ListenerConfig, standing: Leader) {
    let north = Cluster::new("north");
    let server = north.server_with(config, None);
    server.leader.send_replace(standing);
    let mut client = connect(&server, Some(&north.member("a1"))).await;
    let hello = Hello {
        oldest_version: 1,
        newest_version: 1,
        instance: Bytes::from_static(b"a process"),
        program: "1".to_owned(),
        now_us: clock::now().as_micros(),
        introduces: false,
    };
    let greeting = AgentFrame { frame: Some(agent_frame::Frame::Hello(hello)) };
    let mut session = client.session(stream::iter([greeting])).await.unwrap().into_inner();
    let mut answer = Box::pin(session.message());
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut answer).await.is_err(), "it waits");
    server.leader.send_replace(Leader::Here);
    let answer = soon("an answer", answer).await.unwrap().unwrap();
    assert!(matches!(answer.frame, Some(control_frame::Frame::Welcome(_))), "{answer:?}");
}

#[tokio::test]
async fn who_comes_while_nobody_leads_waits_for_the_leader_instead_of_coming_again() {
    answer_of_the_next_leader(patient(), Leader::Unknown).await;
}

#[tokio::test]
async fn who_comes_to_a_server_that_is_about_to_lead_waits_longer() {
    let config = patient();
    let timing = Timing { unled: Duration::from_millis(1), elected: FOREVER, ..config.timing };
    answer_of_the_next_leader(ListenerConfig { timing, ..config }, Leader::Soon).await;
}

#[tokio::test]
async fn who_has_waited_long_enough_for_a_leader_looks_elsewhere() {
    let north = Cluster::new("north");
    let quick = Cluster::config();
    let timing = Timing { unled: Duration::from_millis(50), ..quick.timing };
    let one = north.server_with(ListenerConfig { timing, ..quick }, None);
    let two = north.server();
    one.leader.send_replace(Leader::Unknown);
    let mut agent = north.agent("a1", &[&one, &two]);
    let state = agent.connected().await;
    assert_eq!(state.server(), Some(&two.address));
}
