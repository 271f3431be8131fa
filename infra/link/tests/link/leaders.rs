//! Finding whoever leads, again and again.

use std::time::Duration;

use kogge_link::{DialerConfig, Leader, LinkState, ServerAddress, Timing};
use kogge_model::id::AgentId;

use super::bed::{Agent, Cluster, Server, order, soon, timing, until};
use super::relay::Relay;

async fn connects_to(agent: &mut Agent, server: &Server) {
    let is_there = |state: &LinkState| state.server() == Some(&server.address);
    until(&mut agent.state, is_there).await;
}

#[tokio::test]
async fn an_agent_follows_the_leader_from_server_to_server() {
    let north = Cluster::new("north");
    let (one, two, three) = (north.server(), north.server(), north.server());
    one.leader.send_replace(Leader::Elsewhere(two.address.clone()));
    three.leader.send_replace(Leader::Elsewhere(two.address.clone()));
    let mut agent = north.agent("a1", &[&one, &two, &three]);
    connects_to(&mut agent, &two).await;

    // A planned hand-over: the old leader says who leads now.
    three.leader.send_replace(Leader::Here);
    one.leader.send_replace(Leader::Elsewhere(three.address.clone()));
    two.leader.send_replace(Leader::Elsewhere(three.address.clone()));
    connects_to(&mut agent, &three).await;
    three.handle.send(&AgentId::new("a1"), order(3));
    assert_eq!(agent.order().await, order(3));

    // The leader dies, and nobody leads for a while.
    one.leader.send_replace(Leader::Unknown);
    two.leader.send_replace(Leader::Unknown);
    three.stop().await;
    agent.failure().await;
    two.leader.send_replace(Leader::Elsewhere(one.address.clone()));
    one.leader.send_replace(Leader::Here);
    connects_to(&mut agent, &one).await;
}

#[tokio::test]
async fn a_server_that_restarts_on_its_address_is_found_again() {
    let north = Cluster::new("north");
    let server = north.server();
    let mut agent = north.agent("a1", &[&server]);
    agent.connected().await;
    let address = server.stop().await;
    agent.failure().await;
    // What is said to nobody must not wait and come late.
    for number in 0..5 {
        agent.link.to_control.send(super::bed::report("a1", number)).await.unwrap();
    }
    let all_taken = async {
        while agent.link.to_control.capacity() < agent.link.to_control.max_capacity() {
            tokio::task::yield_now().await;
        }
    };
    soon("reports being dropped", all_taken).await;
    let mut server = north.server_with(Cluster::config(), Some(address));
    agent.connected().await;
    agent.link.to_control.send(super::bed::report("a1", 9)).await.unwrap();
    assert_eq!(server.report().await, super::bed::report("a1", 9));
}

#[tokio::test]
async fn an_agent_keeps_the_list_of_servers_and_finds_those_it_was_not_started_with() {
    let north = Cluster::new("north");
    let (one, two) = (north.server(), north.server());
    let all = vec![one.address.clone(), two.address.clone()];
    let mut agent = north.agent("a1", &[&one]);
    agent.connected().await;
    one.servers.send_replace(all.clone());
    let kept = async {
        while agent.keeper.servers.lock().unwrap().last() != Some(&all) {
            tokio::task::yield_now().await;
        }
    };
    soon("the list being kept", kept).await;
    assert_eq!(*agent.link.handle.servers(), all);
    one.stop().await;
    connects_to(&mut agent, &two).await;
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_passed_over() {
    let north = Cluster::new("north");
    let server = north.server();
    let gone = north.server();
    let nobody: ServerAddress = gone.address.clone();
    gone.stop().await;
    server.servers.send_replace(vec![nobody.clone(), server.address.clone()]);
    let config = kogge_link::DialerConfig {
        timing: super::bed::timing(),
        ..kogge_link::DialerConfig::new(north.member("a1"), vec![nobody, server.address.clone()], "1")
    };
    let mut agent = Agent::start_with(config);
    connects_to(&mut agent, &server).await;
}

/// Waits until the agent has so many connections ready to servers that do not lead.
async fn ready(agent: &Agent, count: usize) {
    until(&mut agent.link.handle.spares(), |spares| *spares == count).await;
}

#[tokio::test]
async fn who_leads_next_is_reached_on_a_connection_that_stood_before() {
    let north = Cluster::new("north");
    let (one, two, three) = (north.server(), north.server(), north.server());
    let relays = [Relay::to(two.handle.address()), Relay::to(three.handle.address())];
    let all = [&one.address, &relays[0].address, &relays[1].address].map(Clone::clone);
    one.servers.send_replace(all.to_vec());
    two.servers.send_replace(all.to_vec());
    for server in [&two, &three] {
        server.leader.send_replace(Leader::Elsewhere(one.address.clone()));
    }
    let quick = Timing { spare: Duration::from_millis(20), ..timing() };
    let config =
        |servers| DialerConfig { timing: quick, ..DialerConfig::new(north.member("a1"), servers, "1") };
    let mut agent = Agent::start_with(config(vec![one.address.clone()]));
    connects_to(&mut agent, &one).await;
    ready(&agent, 2).await;

    // From here on there is no other way to them; one of them does not lead, and says who does.
    for relay in &relays {
        relay.close_the_door().await;
    }
    two.leader.send_replace(Leader::Here);
    three.leader.send_replace(Leader::Elsewhere(relays[0].address.clone()));
    one.stop().await;
    until(&mut agent.state, |state| state.server() == Some(&relays[0].address)).await;
    two.handle.send(&AgentId::new("a1"), order(1));
    assert_eq!(agent.order().await, order(1));
    ready(&agent, 1).await;

    // The planned hand-over leaves the way back open.
    two.leader.send_replace(Leader::Elsewhere(relays[1].address.clone()));
    three.leader.send_replace(Leader::Here);
    until(&mut agent.state, |state| state.server() == Some(&relays[1].address)).await;
    ready(&agent, 1).await;
    for relay in relays {
        relay.end().await;
    }
}

#[tokio::test]
async fn a_connection_that_stands_ready_and_leads_nowhere_costs_nothing_but_a_moment() {
    let north = Cluster::new("north");
    let (one, two) = (north.server(), north.server());
    let relay = Relay::to(two.handle.address());
    one.servers.send_replace(vec![one.address.clone(), relay.address.clone()]);
    two.leader.send_replace(Leader::Elsewhere(one.address.clone()));
    let quick =
        Timing { spare: Duration::from_millis(20), handshake: Duration::from_millis(500), ..timing() };
    let config = DialerConfig {
        timing: quick,
        ..DialerConfig::new(north.member("a1"), vec![one.address.clone()], "1")
    };
    let mut agent = Agent::start_with(config);
    connects_to(&mut agent, &one).await;
    ready(&agent, 1).await;
    // The connection is as good as dead, and nobody has noticed; a new one finds the server.
    relay.cut_those_there();
    two.leader.send_replace(Leader::Here);
    one.stop().await;
    until(&mut agent.state, |state| state.server() == Some(&relay.address)).await;
    relay.end().await;
}
