//! Two processes with one identity.

use std::time::Duration;

use kogge_link::DialerConfig;
use kogge_model::id::AgentId;

use super::bed::{Agent, Cluster, order, soon, timing};

#[tokio::test]
async fn a_clone_is_refused_and_reported_while_the_first_one_goes_on() {
    let north = Cluster::new("north");
    let mut server = north.server();
    let identity = north.member("a1");
    let mut first = Agent::start(identity.clone(), &[&server]);
    first.connected().await;
    let mut clone = Agent::start(identity, &[&server]);
    let reason = clone.refusal().await;
    assert!(reason.text.starts_with("agent a1 is connected already, from 127.0.0.1:"), "{reason}");
    assert!(reason.hint.is_some());

    let impostors = north.presence.impostors.lock().unwrap().clone();
    assert_eq!(impostors[0].agent, AgentId::new("a1"));
    assert_eq!(impostors[0].connected, server.handle.connected()[&AgentId::new("a1")]);
    assert_ne!(impostors[0].refused, impostors[0].connected);

    server.handle.send(&AgentId::new("a1"), order(1));
    assert_eq!(first.order().await, order(1));
    first.link.to_control.send(super::bed::report("a1", 2)).await.unwrap();
    assert_eq!(server.report().await, super::bed::report("a1", 2));
    assert!(clone.link.from_control.try_recv().is_err());
}

#[tokio::test]
async fn the_clone_takes_over_when_the_first_one_is_dead() {
    let north = Cluster::new("north");
    let server = north.server();
    let identity = north.member("a1");
    let mut first = Agent::start(identity.clone(), &[&server]);
    first.connected().await;
    let mut second = Agent::start(identity, &[&server]);
    second.refusal().await;
    first.link.handle.shutdown(Duration::from_secs(5)).await;
    second.connected().await;
    server.handle.send(&AgentId::new("a1"), order(1));
    assert_eq!(second.order().await, order(1));
}

#[tokio::test]
async fn a_process_that_comes_back_before_its_end_was_noticed_takes_its_own_place() {
    let north = Cluster::new("north");
    let server = north.server();
    let identity = north.member("a1");
    let config = || DialerConfig {
        timing: timing(),
        ..DialerConfig::new(identity.clone(), vec![server.address.clone()], "1.2.3")
    };
    let mut agent = Agent::start_with(config());
    agent.connected().await;
    // Cut without a word: the server hears of it, or asks and gets no answer.
    agent.link.handle.shutdown(Duration::from_secs(5)).await;
    let mut again = Agent::start_with(config());
    soon("a connection", again.connected()).await;
}
