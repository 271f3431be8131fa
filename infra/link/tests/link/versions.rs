//! Programs of neighbouring versions.

use kogge_link::{DialerConfig, LinkState, ListenerConfig, Versions};
use kogge_model::id::AgentId;

use super::bed::{Agent, Cluster, order, timing};

const fn versions(oldest: u32, newest: u32) -> Versions {
    Versions { oldest, newest }
}

/// The version of a session between the two, or why there is none.
async fn meet(server: Versions, agent: Versions) -> Result<u32, String> {
    let north = Cluster::new("north");
    let server = north.server_with(ListenerConfig { versions: server, ..Cluster::config() }, None);
    let config = DialerConfig {
        versions: agent,
        timing: timing(),
        ..DialerConfig::new(north.member("a1"), vec![server.address.clone()], "1.2.3")
    };
    let mut agent = Agent::start_with(config);
    let is_settled = |state: &LinkState| !matches!(state, LinkState::Connecting { .. });
    match super::bed::until(&mut agent.state, is_settled).await {
        LinkState::Connected { version, program, .. } => {
            assert_eq!(program, "9.9.9");
            server.handle.send(&AgentId::new("a1"), order(1));
            assert_eq!(agent.order().await, order(1));
            Ok(version)
        }
        LinkState::Waiting { why, .. } => Err(format!("{}; {}", why.text, why.hint.unwrap_or_default())),
        state => panic!("{state:?}"),
    }
}

#[tokio::test]
async fn each_version_works_with_the_one_before_and_the_one_after() {
    assert_eq!(meet(versions(2, 3), versions(2, 3)).await, Ok(3));
    assert_eq!(meet(versions(2, 3), versions(1, 2)).await, Ok(2));
    assert_eq!(meet(versions(1, 2), versions(2, 3)).await, Ok(2));
}

#[tokio::test]
async fn versions_further_apart_are_told_which_of_them_to_upgrade() {
    assert_eq!(
        meet(versions(3, 4), versions(1, 2)).await.unwrap_err(),
        "the server speaks versions 3 to 4 of the protocol, the agent (kogge 1.2.3) 1 to 2: none in common; \
         upgrade the agent; neighbouring versions work together"
    );
    assert!(meet(versions(1, 2), versions(3, 4)).await.unwrap_err().contains("upgrade the server"));
}
