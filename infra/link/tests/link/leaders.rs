//! Finding whoever leads, again and again.

use kogge_link::{Leader, LinkState, ServerAddress};
use kogge_model::id::AgentId;

use super::bed::{Agent, Cluster, Server, order, soon, until};

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
