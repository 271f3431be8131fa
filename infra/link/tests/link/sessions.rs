//! Orders and reports.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use kogge_host::clock;
use kogge_link::{DialerConfig, LinkState, ListenerConfig, Timing};
use kogge_model::id::{AgentId, RunId, TaskId};
use kogge_model::link::{FromAgent, ToControl};

use super::bed::{Agent, Cluster, order, report, soon, timing};
use super::raw::connect;
use super::raw::wire::{AgentFrame, Hello, agent_frame};

/// Far longer than a test may take.
const FOREVER: Duration = Duration::from_secs(600);

#[tokio::test]
async fn orders_and_reports_go_both_ways_in_order() {
    let north = Cluster::new("north");
    let mut server = north.server();
    let mut agent = north.agent("a1", &[&server]);
    agent.connected().await;
    for number in 0..200 {
        server.handle.send(&AgentId::new("a1"), order(number));
    }
    for number in 0..200 {
        assert_eq!(agent.order().await, order(number));
    }
    let to_control = agent.link.to_control.clone();
    let saying = async {
        for number in 0..200 {
            to_control.send(report("a1", number)).await.unwrap();
        }
    };
    let hearing = async {
        for number in 0..200 {
            assert_eq!(server.report().await, report("a1", number));
        }
    };
    tokio::join!(saying, hearing);
}

#[tokio::test]
async fn an_open_session_is_a_sign_of_life() {
    let north = Cluster::new("north");
    let mut server = north.server();
    let mut agent = north.agent("a1", &[&server]);
    agent.connected().await;
    let heard = soon("a sign of life", server.incoming.recv()).await.unwrap();
    assert_eq!(heard, FromAgent { agent: AgentId::new("a1"), body: ToControl::Heartbeat });
    assert_eq!(*north.presence.events.lock().unwrap(), ["a1 came"]);
    agent.link.handle.shutdown(super::bed::PATIENCE).await;
    let gone = async {
        while north.presence.events.lock().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    soon("the end being noticed", gone).await;
    assert_eq!(*north.presence.events.lock().unwrap(), ["a1 came", "a1 went"]);
    assert!(server.handle.connected().is_empty());
}

/// Begins a session as an agent that presents itself by its own, or is too old to do so; gives what the server hears.
async fn first_heard(introduces: bool) -> FromAgent {
    let north = Cluster::new("north");
    let config = Cluster::config();
    let timing = Timing { introduction: FOREVER, ..config.timing };
    let mut server = north.server_with(ListenerConfig { timing, ..config }, None);
    let mut client = connect(&server, Some(&north.member("a1"))).await;
    let hello = agent_frame::Frame::Hello(Hello {
        oldest_version: 1,
        newest_version: 1,
        instance: Bytes::from_static(b"a process"),
        program: "1".to_owned(),
        now_us: clock::now().as_micros(),
        introduces,
    });
    let registration = agent_frame::Frame::Report(serde_json::to_vec(&report("a1", 1)).unwrap().into());
    let frames = [Some(hello), introduces.then_some(registration)].into_iter().flatten();
    let said = stream::iter(frames.map(|frame| AgentFrame { frame: Some(frame) })).chain(stream::pending());
    let _session = client.session(said).await.unwrap();
    soon("a word", server.incoming.recv()).await.unwrap()
}

#[tokio::test]
async fn who_presents_itself_is_not_asked_to_and_who_is_too_old_for_that_is() {
    assert_eq!(first_heard(true).await, report("a1", 1));
    assert_eq!(first_heard(false).await, FromAgent { agent: AgentId::new("a1"), body: ToControl::Heartbeat });
}

#[tokio::test]
async fn sessions_are_counted_for_those_who_present_themselves_with_each() {
    let north = Cluster::new("north");
    let server = north.server();
    let mut agent = north.agent("a1", &[&server]);
    let mut sessions = agent.link.handle.sessions();
    agent.connected().await;
    let first = *sessions.borrow_and_update();
    assert_eq!(first, 1);
    let address = server.stop().await;
    agent.failure().await;
    let _server = north.server_with(Cluster::config(), Some(address));
    soon("the next session", sessions.wait_for(|count| *count == first + 1)).await.unwrap();
}

#[tokio::test]
async fn while_control_is_behind_all_news_wait_in_order_and_signs_of_life_do_not_pile_up() {
    const SAID: u64 = 60;
    let north = Cluster::new("north");
    let mut server = north.server();
    let mut agent = north.agent("a1", &[&server]);
    agent.connected().await;
    let say = |body| FromAgent { agent: AgentId::new("a1"), body };
    let ask = |ticket| say(ToControl::AskLease { task: TaskId::new("t"), run: RunId(1), ticket });
    for ticket in 0..SAID {
        // Control takes nothing: there is room for some of it at the server, and for the rest on the way.
        agent.link.to_control.send(ask(ticket)).await.unwrap();
        agent.link.to_control.send(ask(ticket)).await.unwrap();
        for _ in 0..5 {
            agent.link.to_control.send(say(ToControl::Heartbeat)).await.unwrap();
        }
    }
    let (mut news, mut others) = (Vec::new(), 0);
    while news.last() != Some(&ask(SAID - 1)) {
        // As long as there is more, control is behind.
        let full = async {
            while server.incoming.capacity() > 0 {
                tokio::task::yield_now().await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(50), full).await;
        let heard = soon("a word", server.incoming.recv()).await.unwrap();
        if heard.body == ToControl::Heartbeat || news.last() == Some(&heard) {
            others += 1;
        } else {
            news.push(heard);
        }
    }
    assert_eq!(news, (0..SAID).map(ask).collect::<Vec<_>>());
    assert!(others < 60, "{others} words of {} said nothing new", SAID * 6);
}

#[tokio::test]
async fn an_agent_cannot_speak_in_the_name_of_another() {
    let north = Cluster::new("north");
    let mut server = north.server();
    let mut agent = north.agent("a1", &[&server]);
    agent.connected().await;
    agent.link.to_control.send(report("a2", 1)).await.unwrap();
    assert_eq!(agent.refusal().await.text, "agent a1 spoke in the name of agent a2");
    agent.connected().await;
    agent.link.to_control.send(report("a1", 2)).await.unwrap();
    assert_eq!(server.report().await, report("a1", 2), "what a2 seemed to say went nowhere");
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_the_session_with_a_sentence_and_not_the_server() {
    let north = Cluster::new("north");
    let config = ListenerConfig { max_message_bytes: 2_000, ..Cluster::config() };
    let mut server = north.server_with(config, None);
    let mut agent = north.agent("a1", &[&server]);
    let mut other = north.agent("a2", &[&server]);
    agent.connected().await;
    other.connected().await;
    let mut long = report("a1", 1);
    if let ToControl::Register { info, .. } = &mut long.body {
        info.name = "x".repeat(3_000);
    }
    agent.link.to_control.send(long).await.unwrap();
    let refusal = agent.refusal().await;
    assert!(refusal.text.starts_with("a message is too long: "), "{refusal}");
    other.link.to_control.send(report("a2", 2)).await.unwrap();
    assert_eq!(server.report().await, report("a2", 2));
}

#[tokio::test]
async fn an_agent_that_does_not_take_its_orders_holds_up_nobody_else() {
    let north = Cluster::new("north");
    let server = north.server();
    let narrow = DialerConfig {
        capacity: 2,
        timing: timing(),
        ..DialerConfig::new(north.member("slow"), vec![server.address.clone()], "1")
    };
    let mut slow = Agent::start_with(narrow);
    let mut quick = north.agent("quick", &[&server]);
    slow.connected().await;
    quick.connected().await;
    for number in 0..5_000 {
        server.handle.send(&AgentId::new("slow"), order(number));
    }
    server.handle.send(&AgentId::new("quick"), order(1));
    assert_eq!(quick.order().await, order(1));
    assert_eq!(slow.order().await, order(0));
}

#[tokio::test]
async fn while_control_has_no_room_agents_wait_and_nothing_is_lost() {
    let north = Cluster::new("north");
    let mut server = north.server();
    let mut agent = north.agent("a1", &[&server]);
    agent.connected().await;
    // More than fits into all queues between the two.
    let to_control = agent.link.to_control.clone();
    let saying = async {
        for number in 0..3_000 {
            to_control.send(report("a1", number)).await.unwrap();
        }
    };
    let hearing = async {
        for number in 0..3_000 {
            assert_eq!(server.report().await, report("a1", number));
        }
    };
    soon("everything", async { tokio::join!(saying, hearing) }).await;
}

#[tokio::test]
async fn both_sides_of_the_agent_see_the_end_of_its_link() {
    let north = Cluster::new("north");
    let server = north.server();
    let mut agent = north.agent("a1", &[&server]);
    agent.connected().await;
    agent.link.handle.shutdown(super::bed::PATIENCE).await;
    assert_eq!(soon("the end", agent.link.from_control.recv()).await, None);
    assert!(agent.link.to_control.send(report("a1", 1)).await.is_err());
    assert_eq!(*agent.state.borrow(), LinkState::Closed);

    let mut agent = north.agent("a2", &[&server]);
    agent.connected().await;
    let (to_control, mut from_control) = (agent.link.to_control, agent.link.from_control);
    drop(to_control);
    assert_eq!(soon("the end", from_control.recv()).await, None);
    super::bed::until(&mut agent.state, |state| *state == LinkState::Closed).await;
}

#[tokio::test]
async fn orders_come_also_when_the_list_of_servers_will_never_change() {
    let north = Cluster::new("north");
    let mut server = north.server();
    server.servers = tokio::sync::watch::channel(Vec::new()).0;
    let mut agent = north.agent("a1", &[&server]);
    agent.connected().await;
    for number in 0..3 {
        server.handle.send(&AgentId::new("a1"), order(number));
        assert_eq!(agent.order().await, order(number));
    }
}
