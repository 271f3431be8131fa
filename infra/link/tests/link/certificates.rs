//! Certificates that are not good enough, on either side.

use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

use kogge_host::clock;
use kogge_host::tasks::TaskGroup;
use kogge_link::identity::{
    Authority, AuthorityCertificate, AuthorityError, Certificate, Identity, Lifetime, Peer, Role,
    SigningRequest,
};
use kogge_link::{DialerConfig, DialerError, DialerPorts, ListenerConfig, Signer, dial};
use kogge_model::time::Timestamp;

use super::bed::{Agent, Cluster, Kept, NoTasks};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Signs something else than it is asked for.
struct Crooked {
    authority: Arc<Authority>,
    role: Role,
    later: Duration,
}

impl Signer for Crooked {
    fn authority(&self) -> &AuthorityCertificate {
        self.authority.certificate()
    }

    fn sign(
        &self,
        request: &SigningRequest,
        peer: &Peer,
        now: Timestamp,
        lifetime: Lifetime,
    ) -> Result<Certificate, AuthorityError> {
        let peer = Peer::new(peer.cluster().clone(), self.role, peer.id())?;
        self.authority.issue(request, &peer, now.plus(self.later), lifetime)
    }
}

#[tokio::test]
async fn an_agent_of_another_cluster_believes_no_server_of_this_one() {
    let (north, south) = (Cluster::new("north"), Cluster::new("south"));
    let server = north.server();
    let mut agent = Agent::start(south.member("a1"), &[&server]);
    let text = agent.failure().await.text;
    assert!(
        text.ends_with("the certificate is that of server s1 of cluster north, this is cluster south"),
        "{text}"
    );
}

#[tokio::test]
async fn a_certificate_of_another_cluster_is_refused_by_the_server() {
    let (north, south) = (Cluster::new("north"), Cluster::new("south"));
    let server = north.server();
    let foreign = south.member("a1");
    let authority = north.authority.certificate().clone();
    let mixed = Identity::new(foreign.key().clone(), foreign.certificate().clone(), authority).unwrap();
    let reason = Agent::start(mixed, &[&server]).refusal().await;
    assert_eq!(reason.text, "the certificate is that of agent a1 of cluster south, this is cluster north");
    assert!(reason.hint.is_some());
    assert!(server.handle.connected().is_empty());
}

#[tokio::test]
async fn an_operator_cannot_pass_for_an_agent() {
    let north = Cluster::new("north");
    let server = north.server();
    let operator = north.identity(Role::Operator, "ann", clock::now(), Lifetime::default());
    let config = DialerConfig::new(operator, vec![server.address.clone()], "1");
    let ports = DialerPorts {
        tasks: Arc::new(NoTasks),
        keeper: Arc::new(Kept::default()),
        note: tokio::sync::watch::channel(Bytes::new()).1,
    };
    let refused = dial(config, ports, &TaskGroup::new("agent"));
    assert!(matches!(refused, Err(DialerError::NoAgent { peer }) if peer == "operator ann"));
}

#[tokio::test]
async fn an_agent_cannot_pass_for_a_server() {
    let north = Cluster::new("north");
    let crooked =
        Crooked { authority: Arc::clone(&north.authority), role: Role::Agent, later: Duration::ZERO };
    let server = north.server_signed_by(Arc::new(crooked), Cluster::config(), None);
    let text = north.agent("a1", &[&server]).failure().await.text;
    assert!(text.ends_with("the certificate is that of agent s1, which may not act as server"), "{text}");
}

#[tokio::test]
async fn clocks_a_day_apart_are_told_by_a_sentence_that_names_them() {
    let north = Cluster::new("north");
    let crooked = Crooked { authority: Arc::clone(&north.authority), role: Role::Server, later: DAY };
    let server = north.server_signed_by(Arc::new(crooked), Cluster::config(), None);
    let reason = north.agent("a1", &[&server]).failure().await;
    assert!(
        reason.text.contains("is not valid before") && reason.text.contains("one of the two clocks is wrong")
    );
    assert!(reason.hint.unwrap().contains("set the clocks"));

    // The other way round: the agent's own certificate begins tomorrow, as the server sees it.
    let server = north.server();
    let early = north.identity(Role::Agent, "a2", clock::now().plus(DAY), Lifetime::default());
    let reason = Agent::start(early, &[&server]).refusal().await;
    assert!(reason.text.contains("but the clock of the server says"), "{reason}");
}

#[tokio::test]
async fn a_machine_that_was_off_for_too_long_is_refused_and_for_a_while_is_renewed() {
    let north = Cluster::new("north");
    let stale = || north.identity(Role::Agent, "a1", clock::now().minus(DAY * 10), Lifetime::default());
    let strict = ListenerConfig { late_renewal: DAY, ..Cluster::config() };
    let server = north.server_with(strict, None);
    let reason = Agent::start(stale(), &[&server]).refusal().await;
    assert!(reason.text.starts_with("the certificate of agent a1 expired at "), "{reason}");
    assert!(reason.hint.unwrap().contains("join again"));

    let server = north.server();
    let mut agent = Agent::start(stale(), &[&server]);
    agent.connected().await;
    assert_eq!(agent.keeper.identities.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_forgotten_agent_is_told_so_and_its_certificate_is_not_renewed() {
    let north = Cluster::new("north");
    let server = north.server();
    let mut agent = north.agent("a1", &[&server]);
    agent.connected().await;
    let id = agent.link.handle.identity().certificate().peer().agent().unwrap();
    north.gate.forgotten.lock().unwrap().insert(id.clone());
    server.handle.disconnect(&id);
    assert_eq!(agent.refusal().await.text, "agent a1 was removed from the cluster");

    let stale = north.identity(Role::Agent, "a1", clock::now().minus(DAY * 10), Lifetime::default());
    let reason = Agent::start(stale, &[&server]).refusal().await;
    assert_eq!(reason.text, "agent a1 was removed from the cluster");
}
