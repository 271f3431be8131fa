//! Callers with bad intentions (G25): what no dialer of ours would do.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use kogge_host::clock;
use kogge_link::LogWish;
use kogge_link::identity::{Identity, Lifetime, PrivateKey, Role};
use kogge_model::digest::Digest;
use kogge_model::id::{AgentId, TaskId};

use super::bed::{Cluster, Server, soon};
use super::raw::{connect, wire};
use wire::{
    AgentFrame, FetchRequest, FollowUp, Hello, JoinRequest, Piece, ReachUp, RenewRequest, agent_frame,
    control_frame, join_answer, reach_up, renew_answer,
};

/// What the server says to each call of somebody with that certificate.
async fn try_all(server: &Server, identity: Option<&Identity>) -> [String; 6] {
    let mut client = connect(server, identity).await;
    let hello = AgentFrame { frame: Some(agent_frame::Frame::Hello(hello(b"instance"))) };
    let mut session = client.session(stream::iter([hello])).await.unwrap().into_inner();
    let Some(control_frame::Frame::Refusal(session)) = session.message().await.unwrap().unwrap().frame else {
        panic!("a session without a certificate");
    };
    let signing_request = PrivateKey::generate().unwrap().signing_request().unwrap().as_der().to_vec();
    let renewal = client.renew(RenewRequest { signing_request: signing_request.into() }).await.unwrap();
    let Some(renew_answer::Outcome::Refusal(renewal)) = renewal.into_inner().outcome else {
        panic!("a renewal without a certificate");
    };
    let claim = ReachUp { frame: Some(reach_up::Frame::Claim(1)) };
    let reach = client.reach(stream::iter([claim])).await.unwrap_err();
    let digest = Digest::of(b"secret").to_string();
    let fetch = client.fetch(FetchRequest { digest, offset: 0 }).await.map(drop);
    let follow = client.follow(stream::iter([FollowUp::default()])).await.map(drop);
    let tunnel = client.tunnel(stream::iter([Piece::default()])).await.map(drop);
    let [fetch, follow, tunnel] = [fetch, follow, tunnel].map(|answer| match answer {
        Ok(()) => "let in".to_owned(),
        Err(status) => status.message().to_owned(),
    });
    [session.text, renewal.text, reach.message().to_owned(), fetch, follow, tunnel]
}

fn hello(instance: &'static [u8]) -> Hello {
    Hello {
        oldest_version: 1,
        newest_version: 1,
        instance: Bytes::from_static(instance),
        program: "evil".to_owned(),
        now_us: clock::now().as_micros(),
        introduces: false,
    }
}

#[tokio::test]
async fn nothing_but_joining_works_without_the_certificate_of_an_agent_of_this_cluster() {
    let (north, south) = (Cluster::new("north"), Cluster::new("south"));
    north.blobs.0.lock().unwrap().insert(Digest::of(b"secret"), Bytes::from_static(b"secret"));
    let server = north.server();
    assert_eq!(try_all(&server, None).await, ["no certificate was shown"; 6]);
    let foreign = "the certificate is that of agent a1 of cluster south, this is cluster north";
    assert_eq!(try_all(&server, Some(&south.member("a1"))).await, [foreign; 6]);
    let twin = Cluster::new("north");
    let unsigned = "the certificate of agent a1 was not signed by the authority of cluster north";
    assert_eq!(try_all(&server, Some(&twin.member("a1"))).await, [unsigned; 6]);
    let operator = north.identity(Role::Operator, "x1", clock::now(), Lifetime::default());
    let (agent, server_too) = ("may not act as agent", "may not act as server");
    let refused = |rule: &str| format!("the certificate is that of operator x1, which {rule}");
    let [as_agent, as_server] = [agent, server_too].map(refused);
    let everywhere = [&as_agent, &as_agent, &as_agent, &as_agent, &as_agent, &as_server];
    assert_eq!(try_all(&server, Some(&operator)).await.each_ref(), everywhere);
    // Servers fetch from each other and pass requests on; they are no agents.
    let other = north.identity(Role::Server, "s1", clock::now(), Lifetime::default());
    let no_agent = "the certificate is that of server s1, which may not act as agent";
    let heard = try_all(&server, Some(&other)).await;
    assert_eq!(heard, [no_agent, no_agent, no_agent, "let in", no_agent, "let in"]);
}

#[tokio::test]
async fn an_agent_cannot_pass_for_another_server() {
    let north = Cluster::new("north");
    let server = north.server();
    let mut client = connect(&server, Some(&north.member("a1"))).await;
    let refused = client.tunnel(stream::iter([Piece::default()])).await.map(drop).unwrap_err();
    assert_eq!(refused.message(), "the certificate is that of agent a1, which may not act as server");
}

#[tokio::test]
async fn an_agent_cannot_take_up_a_call_meant_for_another() {
    let north = Cluster::new("north");
    let server = north.server();
    // Connected, but it never answers calls.
    let mut victim = connect(&server, Some(&north.member("victim"))).await;
    let (sender, frames) = tokio::sync::mpsc::channel(1);
    sender.send(AgentFrame { frame: Some(agent_frame::Frame::Hello(hello(b"victim-1"))) }).await.unwrap();
    let frames = stream::unfold(frames, |mut frames| async { Some((frames.recv().await?, frames)) });
    let mut orders = victim.session(Box::pin(frames)).await.unwrap().into_inner();
    orders.message().await.unwrap().unwrap();

    let agent = AgentId::new("victim");
    let asking = server.handle.logs(&agent, vec![TaskId::new("t")], LogWish::default());
    let stealing = async {
        let call = loop {
            let frame = orders.message().await.unwrap().unwrap().frame;
            if let Some(control_frame::Frame::Call(call)) = frame {
                break call;
            }
        };
        let mut thief = connect(&server, Some(&north.member("thief"))).await;
        let claim = ReachUp { frame: Some(reach_up::Frame::Claim(call.call)) };
        let refused = thief.reach(stream::iter([claim])).await.unwrap_err();
        assert_eq!(refused.message(), "nobody waits for this call any more");
    };
    let (asked, ()) = tokio::join!(asking, stealing);
    assert_eq!(asked.err().unwrap().text, "agent victim does not answer");
}

#[tokio::test]
async fn a_renewal_for_another_key_is_refused() {
    let north = Cluster::new("north");
    let server = north.server();
    let mut client = connect(&server, Some(&north.member("a1"))).await;
    let signing_request = PrivateKey::generate().unwrap().signing_request().unwrap().as_der().to_vec();
    let answer = client.renew(RenewRequest { signing_request: signing_request.into() }).await.unwrap();
    let Some(renew_answer::Outcome::Refusal(refusal)) = answer.into_inner().outcome else {
        panic!("a renewal for another key");
    };
    assert_eq!(refusal.text, "agent a1 keeps its key when it renews its certificate");
}

#[tokio::test]
async fn strangers_are_heard_out_but_only_shortly() {
    let north = Cluster::new("north");
    let server = north.server();
    let ask = |token: String, now_us| JoinRequest {
        token,
        agent: "a1".to_owned(),
        signing_request: Bytes::new(),
        now_us,
    };
    let now = clock::now();
    let mut client = connect(&server, None).await;
    let refused = client.join(ask("x".repeat(100_000), now.as_micros())).await.unwrap_err();
    assert!(refused.message().contains("too large"), "{refused}");

    let day = Duration::from_secs(24 * 3600);
    let token = north.token(day).reveal();
    for (theirs, word) in [(now.minus(day), "behind"), (now.plus(day), "ahead of")] {
        let answer = client.join(ask(token.clone(), theirs.as_micros())).await.unwrap().into_inner();
        let Some(join_answer::Outcome::Refusal(refusal)) = answer.outcome else {
            panic!("a clock a day off")
        };
        assert!(refusal.text.contains(&format!("{word} the server's")), "{}", refusal.text);
        assert!(refusal.text.starts_with("the clock of the joining machine is 2"), "{}", refusal.text);
        assert!(refusal.hint.contains("set the clocks"));
    }
    let answer = client.join(ask("kogge1.cut".to_owned(), now.as_micros())).await.unwrap().into_inner();
    let Some(join_answer::Outcome::Refusal(refusal)) = answer.outcome else { panic!("half a token") };
    assert!(refusal.text.starts_with("this is not a join token"), "{}", refusal.text);
    let answer = client.join(ask(token, now.as_micros())).await.unwrap().into_inner();
    let Some(join_answer::Outcome::Refusal(refusal)) = answer.outcome else { panic!("no request") };
    assert!(refusal.text.starts_with("the signing request cannot be believed"), "{}", refusal.text);
}

#[tokio::test]
async fn a_session_begins_with_a_greeting_or_not_at_all() {
    let north = Cluster::new("north");
    let server = north.server();
    for first in [
        agent_frame::Frame::Report(Bytes::from_static(b"{}")),
        agent_frame::Frame::Hello(hello(b"short")),
        agent_frame::Frame::Pong(1),
    ] {
        let mut client = connect(&server, Some(&north.member("a1"))).await;
        let frame = AgentFrame { frame: Some(first) };
        let mut session = client.session(stream::iter([frame])).await.unwrap().into_inner();
        let answer = soon("an answer", session.message()).await.unwrap().unwrap();
        let Some(control_frame::Frame::Refusal(refusal)) = answer.frame else { panic!("a refusal") };
        assert_eq!(refusal.text, "a session begins with a greeting");
    }
    assert!(server.handle.connected().is_empty());
}
