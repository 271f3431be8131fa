//! Conversations of the cores that are longer than a round.

use kogge_model::agent::AgentInfo;
use kogge_model::caller::Caller;
use kogge_model::health::Health;
use kogge_model::id::{ClusterId, Term};
use kogge_model::link::ToControl;
use kogge_model::resources::{Bytes, CpuMillis, Resources};
use kogge_model::service::ServiceSpec;
use kogge_model::task::{Running, TaskState, TaskStatus};
use kogge_model::template::{Command, Limits, NetworkMode, TaskTemplate};
use kogge_store::{Entry, Revision};

use super::*;
use crate::change::Wish;
use crate::config::Config;
use crate::image::Image;
use crate::load;

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_000_000);
const AGENTS: u32 = 4;

/// One that leads, with nothing in it.
pub(crate) fn cloud() -> Cloud {
    let config = Config {
        domain: "localhost".into(),
        router_port: 80,
        api_url: "http://127.0.0.1:7400".into(),
        is_alone: true,
        api_tls_url: None,
        keep_revisions: 25,
    };
    let settings = Settings { cluster: ClusterId::new("c"), term: Term(1), is_founder: true, config };
    load::cloud(&Image::default(), settings, NOW).unwrap()
}

/// An agent comes, with room for thousands.
fn registration(number: u32) -> FromAgent {
    let agent = AgentId::new(format!("m{number}"));
    let resources =
        Resources { cpu_millis: CpuMillis(1_000_000), mem_bytes: Bytes::gib(1_000), ..Resources::default() };
    let info = AgentInfo {
        agent: agent.clone(),
        name: agent.to_string(),
        address: [10, 0, 0, 1].into(),
        resources,
        attributes: BTreeMap::new(),
        version: "0".into(),
        closed: None,
    };
    let body =
        ToControl::Register { info, cluster: None, term: Term(0), tasks: Vec::new(), held: BTreeMap::new() };
    FromAgent { agent, body }
}

/// One that leads, and whose agents are there.
pub(crate) fn with_agents() -> Cloud {
    let mut cloud = cloud();
    let mut round = Round::begin(NOW);
    cloud.begin(&mut round);
    (0..AGENTS).for_each(|agent| cloud.hear_agent(registration(agent), &mut round));
    rounds(&mut cloud, round);
    cloud
}

pub(crate) fn wish(service: &ServiceId, instances: u32) -> Edit {
    let limits = Limits { cpu_millis: CpuMillis(10), mem_bytes: Bytes::mib(4), ..Limits::default() };
    let command = Some(Command::Shell("sleep 1".into()));
    let template = TaskTemplate { command, limits, network: NetworkMode::Host, ..TaskTemplate::default() };
    Edit::put(
        TreePath::from(service),
        Subtree::service(ServiceSpec { template, instances, ..Default::default() }),
    )
}

/// Rounds until the cores have said everything, this one first.
pub(crate) fn rounds(cloud: &mut Cloud, first: Round) -> Vec<Round> {
    let mut rounds = vec![first];
    loop {
        let round = rounds.last_mut().unwrap();
        cloud.talk(ROUND_OPS, round);
        if cloud.words.is_empty() {
            return rounds;
        }
        rounds.push(Round::begin(NOW));
    }
}

#[test]
fn a_large_deployment_goes_on_in_the_next_rounds_and_launches_all() {
    let mut cloud = with_agents();

    let wanted = 4 * u32::try_from(ROUND_OPS).unwrap();
    let mut round = Round::begin(NOW);
    let wish_of = Wish { caller: Caller::local_operator(), message: "deploy".into(), is_plan: false };
    // The same wish of two services: they share the offers.
    for name in ["/default/one", "/default/two"] {
        cloud.change(&[wish(&name.parse().unwrap(), wanted / 2)], &wish_of, &mut round).unwrap();
    }
    let rounds = rounds(&mut cloud, round);
    let launches = |round: &Round| {
        round.outbox.iter().filter(|(_, message)| matches!(message, ToAgent::Launch { .. })).count()
    };
    let launched: Vec<usize> = rounds.iter().map(launches).collect();
    assert_eq!(launched.iter().sum::<usize>(), wanted as usize, "{launched:?}");
    // Each agent's share is one word.
    assert!(launched.iter().filter(|one| **one > 0).count() > 1, "{launched:?}");
    assert!(
        launched.iter().all(|one| *one < 2 * ROUND_OPS + wanted as usize / AGENTS as usize),
        "{launched:?}"
    );
    for name in ["/default/one", "/default/two"] {
        let service = cloud.services.get(&name.parse().unwrap()).unwrap();
        assert_eq!(
            service.instances.values().filter(|one| one.attempt().is_some()).count(),
            wanted as usize / 2
        );
    }
}

#[test]
fn who_asks_twice_for_offers_asks_once() {
    let mut cloud = cloud();
    for _ in 0..3 {
        cloud.call(Call::Revive);
    }
    cloud.call(Call::Suppress);
    cloud.call(Call::Revive);
    assert_eq!(cloud.words.len(), 3);
}

#[test]
fn many_events_are_heard_in_portions_and_in_their_order() {
    let lost =
        |number: usize| Event::AgentLost { agent: AgentId::new(number.to_string()), reason: "gone".into() };
    let mut words: VecDeque<Word> = (1..2 * EVENTS_AT_ONCE).map(|number| Word::Event(lost(number))).collect();
    words.push_back(Word::ToKernel(kogge_kernel::Input::Tick));
    words.push_back(Word::Event(lost(0)));
    let first = with_following(lost(0), &mut words);
    assert_eq!((first.len(), words.len()), (EVENTS_AT_ONCE, EVENTS_AT_ONCE + 2));
    let Some(Word::Event(next)) = words.pop_front() else { panic!("an event follows") };
    assert_eq!(next, lost(EVENTS_AT_ONCE));
    assert_eq!(with_following(next, &mut words).len(), EVENTS_AT_ONCE);
    assert_eq!(words.len(), 2, "what is no event ends a portion");
}

#[test]
fn offers_are_heard_alone() {
    let lost = |name: &str| Event::AgentLost { agent: AgentId::new(name), reason: "gone".into() };
    let offers = || Event::Offers(Vec::new());
    let mut words: VecDeque<Word> = [lost("b"), offers(), offers(), lost("c")].map(Word::Event).into();
    let mut next = lost("a");
    let mut heard = Vec::new();
    loop {
        heard.push(with_following(next, &mut words).len());
        match words.pop_front() {
            Some(Word::Event(event)) => next = event,
            _ => break,
        }
    }
    assert_eq!(heard, [2, 1, 1, 1]);
}

#[test]
fn whoever_waits_for_its_turn_is_not_without_a_place_however_long_rounds_take() {
    let mut cloud = with_agents();
    let wish_of = Wish { caller: Caller::local_operator(), message: "deploy".into(), is_plan: false };
    let mut now = NOW;
    let mut launched = 0;
    for name in ["/default/one", "/default/two", "/default/three"] {
        now = now.plus(std::time::Duration::from_millis(1_500));
        let mut round = cloud.begin_round(now);
        cloud.change(&[wish(&name.parse().unwrap(), 4_000)], &wish_of, &mut round).unwrap();
        for number in 0..AGENTS {
            let agent = AgentId::new(format!("m{number}"));
            cloud.hear_agent(FromAgent { agent, body: ToControl::Heartbeat }, &mut round);
        }
        cloud.tick(&mut round);
        let before = round.batch.len();
        cloud.talk(before + ROUND_OPS, &mut round);
        launched += round.outbox.iter().filter(|(_, word)| matches!(word, ToAgent::Launch { .. })).count();
        let waits = round.news.iter().filter(|news| news.state.as_deref() == Some("wait"));
        assert_eq!(waits.count(), 0);
        // What was launched is two records each.
        assert!(round.batch.len() < before + ROUND_OPS + 3 * 4_096, "{}", round.batch.len());
    }
    assert!(launched > 0 && !cloud.words.is_empty(), "{launched} were launched");
}

/// What `rounds` have saved, as the next leader finds it.
fn saved(rounds: Vec<Round>) -> Image {
    let mut image = Image::default();
    let writes = rounds.into_iter().flat_map(|round| round.batch.into_writes());
    for (revision, (key, value)) in (1..).map(Revision::new).zip(writes) {
        let event = match value {
            Some(value) => {
                let (created, modified) = (revision, revision);
                kogge_store::Event::Put(Entry { key, value, created, modified, version: 1, lease: None })
            }
            None => kogge_store::Event::Delete { key },
        };
        image.apply(revision, vec![event]);
    }
    image
}

/// That a task runs which was ordered, if `order` is such an order.
pub(crate) fn runs((agent, order): (AgentId, ToAgent)) -> Option<FromAgent> {
    let ToAgent::Launch { run, spec } = order else { return None };
    let state = TaskState::Running(Running {
        pid: 7,
        started_at: NOW,
        ip: [10, 0, 0, 1].into(),
        health: Health::Healthy,
    });
    let task = spec.task.clone();
    let status =
        TaskStatus { task, run, agent: agent.clone(), sequence: 1, at: NOW, state, reason: "started".into() };
    Some(FromAgent { agent, body: ToControl::Status(status) })
}

#[test]
fn a_new_leader_tells_its_cores_nothing_again_that_their_records_say() {
    let (mut cloud, service) = (with_agents(), "/default/one".parse().unwrap());
    let mut round = Round::begin(NOW);
    let wish_of = Wish { caller: Caller::local_operator(), message: "deploy".into(), is_plan: false };
    cloud.change(&[wish(&service, 300)], &wish_of, &mut round).unwrap();
    let mut all = rounds(&mut cloud, round);
    let orders: Vec<_> = all.iter_mut().flat_map(|round| std::mem::take(&mut round.outbox)).collect();
    let mut round = Round::begin(NOW);
    orders.into_iter().filter_map(runs).for_each(|word| cloud.hear_agent(word, &mut round));
    all.extend(rounds(&mut cloud, round));

    let settings = Settings { term: Term(2), is_founder: false, ..cloud.settings };
    let mut next = load::cloud(&saved(all), settings, NOW).unwrap();
    let running = next.services.get(&service).unwrap().instances.values();
    assert_eq!(running.filter(|one| one.attempt().is_some_and(|attempt| attempt.sequence == 1)).count(), 300);
    let mut round = Round::begin(NOW);
    next.ask_services(kogge_services::Input::Connected, &mut round);
    while let Some(word) = next.words.pop_front() {
        match word {
            Word::ToKernel(input) => next.ask_kernel(input, &mut round),
            Word::Event(Event::Update(status)) => panic!("told again: {status:?}"),
            Word::Event(event) => {
                next.ask_services(kogge_services::Input::of_events(vec![event]).remove(0), &mut round);
            }
        }
    }
}
