//! Tokens at a real door.

use std::time::Duration;

use kogge_host::tasks::TaskGroup;
use kogge_link::identity::PrivateKey;
use kogge_link::token::Token;
use kogge_link::{JoinError, JoinWish, Joined, ServerAddress, join};
use kogge_model::id::AgentId;

use super::bed::{Agent, Cluster, Server, timing};

const HOUR: Duration = Duration::from_secs(3_600);

async fn try_join(
    server: &ServerAddress,
    token: &Token,
    agent: &str,
    key: &PrivateKey,
) -> Result<Joined, JoinError> {
    let wish = JoinWish {
        server: server.clone(),
        token: token.clone(),
        agent: AgentId::new(agent),
        key: key.clone(),
    };
    let group = TaskGroup::new("join");
    let joined = join(&wish, &timing(), &group).await;
    group.shutdown(Duration::from_secs(5)).await;
    joined
}

async fn refusal(server: &Server, token: &Token) -> String {
    let key = PrivateKey::generate().unwrap();
    let reason = try_join(&server.address, token, "a1", &key).await.unwrap_err().reason();
    assert!(reason.hint.is_some(), "{reason} has a hint");
    reason.text.replace(&server.address.to_string(), "S")
}

#[tokio::test]
async fn a_machine_with_a_token_becomes_a_member_and_is_connected_from_then_on() {
    let north = Cluster::new("north");
    let mut server = north.server();
    let key = PrivateKey::generate().unwrap();
    let joined = try_join(&server.address, &north.token(HOUR), "a1", &key).await.unwrap();
    assert_eq!(joined.identity.certificate().peer().uri(), "kogge://north/agent/a1");
    assert_eq!(joined.identity.certificate().key_fingerprint(), key.fingerprint());
    assert_eq!(joined.servers, [server.address.clone()]);
    let mut agent = Agent::start(joined.identity, &[&server]);
    agent.connected().await;
    agent.link.to_control.send(super::bed::report("a1", 7)).await.unwrap();
    assert_eq!(server.report().await, super::bed::report("a1", 7));
}

#[tokio::test]
async fn wrong_used_and_expired_tokens_each_get_their_sentence() {
    let north = Cluster::new("north");
    let server = north.server();
    let (wrong, used, expired) = (north.token(HOUR), north.token(HOUR), north.token(Duration::ZERO));
    north.gate.records.lock().unwrap().remove(wrong.id());
    assert_eq!(
        refusal(&server, &wrong).await,
        "server S does not let this machine in: the token is wrong: this cluster has given out no such token"
    );
    assert!(refusal(&server, &expired).await.contains("the token expired at "));

    let key = PrivateKey::generate().unwrap();
    try_join(&server.address, &used, "a1", &key).await.unwrap();
    assert!(refusal(&server, &used).await.contains("the token was used at "));
    // The answer was lost: the same key comes again.
    try_join(&server.address, &used, "a1", &key).await.unwrap();
}

#[tokio::test]
async fn a_machine_believes_no_server_but_those_its_token_names() {
    let (north, south) = (Cluster::new("north"), Cluster::new("south"));
    let server = south.server();
    assert_eq!(
        refusal(&server, &north.token(HOUR)).await,
        "server S is not believed: the server's authority is not the one that the token names"
    );
}

#[tokio::test]
async fn a_server_that_does_not_lead_sends_a_joining_machine_on() {
    let north = Cluster::new("north");
    let (leader, follower) = (north.server(), north.server());
    *north.gate.elsewhere.lock().unwrap() = Some(leader.address.clone());
    let key = PrivateKey::generate().unwrap();
    let joined = try_join(&follower.address, &north.token(HOUR), "a1", &key).await.unwrap();
    assert_eq!(joined.servers, [leader.address]);
}

#[tokio::test]
async fn an_id_that_cannot_stand_in_a_certificate_is_refused() {
    let north = Cluster::new("north");
    let server = north.server();
    let key = PrivateKey::generate().unwrap();
    let error = try_join(&server.address, &north.token(HOUR), "a/b", &key).await.unwrap_err();
    assert!(error.reason().text.contains("\"a/b\" is not an id"), "{}", error.reason());
}

#[tokio::test]
async fn nobody_there_and_something_else_there_each_get_their_sentence() {
    let north = Cluster::new("north");
    let server = north.server();
    let (address, token) = (server.address.clone(), north.token(HOUR));
    let key = PrivateKey::generate().unwrap();
    server.stop().await;
    let error = try_join(&address, &token, "a1", &key).await.unwrap_err().reason();
    assert!(error.text.starts_with(&format!("cannot reach server {address}: ")), "{error}");

    let other = kogge_host::listener::bind("other", ([127, 0, 0, 1], 0).into()).unwrap();
    let address = ServerAddress::from(other.local_addr().unwrap());
    let talking = async {
        let (stream, _) = other.accept().await.unwrap();
        stream.writable().await.unwrap();
        stream.try_write(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        drop(stream);
    };
    let (error, ()) = tokio::join!(try_join(&address, &token, "a1", &key), talking);
    let error = error.unwrap_err().reason();
    assert!(error.text.starts_with(&format!("cannot talk to server {address}: ")), "{error}");
}
