//! Networks that swallow everything without a word.

use std::time::{Duration, Instant};

use kogge_link::{DialerConfig, LinkState, ListenerConfig, Timing};
use kogge_model::id::AgentId;

use super::bed::{Agent, Cluster, order, soon, timing, until};
use super::relay::{Relay, Way};

fn quick() -> Timing {
    Timing {
        keepalive: Duration::from_millis(200),
        keepalive_idle: Duration::from_millis(200),
        keepalive_timeout: Duration::from_millis(400),
        keepalive_patience: Duration::from_millis(400),
        answer: Duration::from_secs(1),
        handshake: Duration::from_secs(1),
        ..timing()
    }
}

#[tokio::test]
async fn a_silent_server_is_left_for_another_one() {
    let north = Cluster::new("north");
    let (one, two) = (north.server(), north.server());
    let relay = Relay::to(one.handle.address());
    one.servers.send_replace(vec![relay.address.clone(), two.address.clone()]);
    let config = DialerConfig {
        timing: quick(),
        ..DialerConfig::new(north.member("a1"), vec![relay.address.clone()], "1")
    };
    let mut agent = Agent::start_with(config);
    agent.connected().await;
    let cut = Instant::now();
    relay.cut();
    let is_with_two = |state: &LinkState| state.server() == Some(&two.address);
    until(&mut agent.state, is_with_two).await;
    assert!(cut.elapsed() > Duration::from_millis(400), "nobody said that the connection was cut");
    two.handle.send(&AgentId::new("a1"), order(1));
    assert_eq!(agent.order().await, order(1));
    relay.end().await;
}

#[tokio::test]
async fn a_server_to_which_only_small_packets_get_is_left_for_another_one() {
    leaves_a_narrow_link(Way::ToServer).await;
}

#[tokio::test]
async fn a_server_from_which_only_small_packets_come_is_left_for_another_one() {
    leaves_a_narrow_link(Way::ToAgent).await;
}

async fn leaves_a_narrow_link(way: Way) {
    let north = Cluster::new("north");
    let wide = Timing { wide: Duration::from_millis(200), ..quick() };
    let config = || ListenerConfig { timing: wide, ..Cluster::config() };
    let (one, two) = (north.server_with(config(), None), north.server_with(config(), None));
    let relay = Relay::to(one.handle.address());
    one.servers.send_replace(vec![relay.address.clone(), two.address.clone()]);
    let config = DialerConfig {
        timing: quick(),
        ..DialerConfig::new(north.member("a1"), vec![relay.address.clone()], "1")
    };
    let mut agent = Agent::start_with(config);
    agent.connected().await;
    relay.narrow(way, 600);
    until(&mut agent.state, |state| state.server() == Some(&two.address)).await;
    two.handle.send(&AgentId::new("a1"), order(1));
    assert_eq!(agent.order().await, order(1));
    relay.end().await;
}

#[tokio::test]
async fn a_silent_agent_loses_its_place() {
    let north = Cluster::new("north");
    let server = north.server_with(ListenerConfig { timing: quick(), ..Cluster::config() }, None);
    let relay = Relay::to(server.handle.address());
    let config = DialerConfig::new(north.member("a1"), vec![relay.address.clone()], "1");
    let mut agent = Agent::start_with(config);
    agent.connected().await;
    relay.cut();
    let gone = async {
        while !server.handle.connected().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    soon("the session's end", gone).await;
    relay.end().await;
}

#[tokio::test]
async fn an_identity_moves_at_once_to_a_new_process_when_the_old_one_is_cut_off() {
    let north = Cluster::new("north");
    let server = north.server();
    let relay = Relay::to(server.handle.address());
    let identity = north.member("a1");
    let config = DialerConfig {
        timing: timing(),
        ..DialerConfig::new(identity.clone(), vec![relay.address.clone()], "1")
    };
    let mut old = Agent::start_with(config);
    old.connected().await;
    relay.cut();
    // The keep-alive of neither side has noticed anything yet: only the question to the old one tells.
    let mut new = Agent::start(identity, &[&server]);
    new.connected().await;
    assert!(north.presence.impostors.lock().unwrap().is_empty());
    assert_eq!(*north.presence.events.lock().unwrap(), ["a1 came", "a1 came"]);
    server.handle.send(&AgentId::new("a1"), order(1));
    assert_eq!(new.order().await, order(1));
    relay.end().await;
}
