//! Certificates that live for seconds.

use std::time::Duration;

use kogge_host::clock;
use kogge_link::ListenerConfig;
use kogge_link::identity::{Lifetime, Role};
use kogge_model::id::AgentId;

use super::bed::{Agent, Cluster, order, report, soon};

const SHORT: Lifetime = Lifetime { validity: Duration::from_secs(6), backdate: Duration::from_secs(60) };

#[tokio::test]
async fn certificates_are_renewed_at_half_of_their_life_and_the_link_outlives_many() {
    let north = Cluster::new("north");
    let mut server = north.server_with(ListenerConfig { lifetime: SHORT, ..Cluster::config() }, None);
    let first = north.identity(Role::Agent, "a1", clock::now(), SHORT);
    let mut agent = Agent::start(first.clone(), &[&server]);
    let renewed = async {
        while agent.keeper.identities.lock().unwrap().len() < 3 {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("three renewals", renewed).await;
    let kept = agent.keeper.identities.lock().unwrap().last().cloned().unwrap();
    assert!(kept.certificate().not_after() > first.certificate().not_after());
    assert_eq!(kept.certificate().peer(), first.certificate().peer());
    assert_eq!(kept.key().fingerprint(), first.key().fingerprint());
    assert!(clock::now() > first.certificate().not_after(), "the link has outlived the first certificate");
    // The server's own lives as short, and a new connection still believes it.
    agent.connected().await;
    // One that falls between two connections is dropped, and said again.
    let repeating = async {
        loop {
            server.handle.send(&AgentId::new("a1"), order(4));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        heard = agent.order() => assert_eq!(heard, order(4)),
        () = repeating => unreachable!("it goes on"),
    }
    agent.link.to_control.send(report("a1", 5)).await.unwrap();
    assert_eq!(server.report().await, report("a1", 5));
}

#[tokio::test]
async fn a_session_ends_with_its_certificate() {
    let north = Cluster::new("north");
    let server =
        north.server_with(ListenerConfig { late_renewal: Duration::ZERO, ..Cluster::config() }, None);
    let short = Lifetime { validity: Duration::from_secs(4), ..SHORT };
    let mut agent = Agent::start(north.identity(Role::Agent, "a1", clock::now(), short), &[&server]);
    agent.connected().await;
    // Not to be renewed, although the session stands.
    north.gate.forgotten.lock().unwrap().insert(AgentId::new("a1"));
    let refusal = agent.refusal().await;
    assert!(refusal.text.contains("expired at") || refusal.text.contains("removed"), "{refusal}");
    assert!(server.handle.connected().is_empty());
}
