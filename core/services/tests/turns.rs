//! More instances wait than may be launched at once: the others have their turn right after that.

#![expect(clippy::unwrap_used, reason = "a test says by a panic what does not hold")]

use std::collections::BTreeMap;
use std::sync::Arc;

use kogge_model::id::{AgentId, FrameworkId, OfferId, RevisionId};
use kogge_model::port::{Port, PortSet};
use kogge_model::resources::{Bytes, CpuMillis, Resources};
use kogge_model::scheduler::{Call, Event, Offer};
use kogge_model::service::ServiceSpec;
use kogge_model::template::Command;
use kogge_model::time::Timestamp;
use kogge_services::{Change, Config, Effect, Effects, Input, Phase, Services};

const AT_ONCE: usize = 10;

/// A core that wants so many instances of each service, and has just asked for offers.
fn wanting(counts: &[(&str, u32)]) -> Services {
    let spec = |count: u32| {
        let mut spec = ServiceSpec { instances: count, ..ServiceSpec::default() };
        spec.template.command = Some(Command::Shell("serve".into()));
        Arc::new(spec)
    };
    let wanted = counts.iter().map(|(name, count)| (name.parse().unwrap(), spec(*count))).collect();
    let config = Config { launches_at_once: AT_ONCE, ..Config::default() };
    let (mut core, mut effects) = (Services::new(config, [7; 32]), Effects::new());
    core.handle(at(1_000), Input::Connected, &mut effects);
    core.handle(at(1_000), Input::FromKernel(Event::Subscribed(FrameworkId::new("services"))), &mut effects);
    let input = Input::Desired { revision: RevisionId(1), change: Change::Whole(wanted) };
    core.handle(at(1_000), input, &mut effects);
    core
}

const fn at(millis: u64) -> Timestamp {
    Timestamp::from_micros(millis * 1_000)
}

fn offer(number: u64, cpu_millis: u64) -> Offer {
    Offer {
        id: OfferId(number),
        agent: AgentId::new("agent-1"),
        attributes: Arc::default(),
        resources: Resources {
            cpu_millis: CpuMillis(cpu_millis),
            mem_bytes: Bytes::gib(64),
            disk_bytes: Bytes::gib(100),
            ports: PortSet::range(Port::new(20_000).unwrap(), Port::new(29_999).unwrap()),
        },
    }
}

/// What follows from one offer: how many of each service are launched, and whether more offers are asked for.
fn serve(core: &mut Services, now: Timestamp, offer: Offer) -> (BTreeMap<String, usize>, bool) {
    let mut effects = Effects::new();
    core.handle(now, Input::FromKernel(Event::Offers(vec![offer])), &mut effects);
    let mut launched = BTreeMap::new();
    let accepted = effects.iter().filter_map(|effect| match effect {
        Effect::Call(Call::Accept { launches, .. }) => Some(launches),
        _ => None,
    });
    for spec in accepted.flatten() {
        *launched.entry(spec.instance.as_ref().unwrap().service.label()).or_default() += 1;
    }
    (launched, effects.iter().any(|effect| matches!(effect, Effect::Call(Call::Revive))))
}

/// Whether it is known of some that no offer had a place for them.
fn has_blocked(core: &Services) -> bool {
    let instances = core.iter().flat_map(|service| service.instances.values());
    let mut phases = instances.map(|instance| &instance.phase);
    phases.any(|phase| matches!(phase, Phase::Waiting(waiting) if waiting.shortfall.is_some()))
}

#[test]
fn no_more_are_launched_at_once_than_the_bound_and_the_few_do_not_wait_behind_the_many() {
    let mut core = wanting(&[("aaa", 23), ("zzz", 2)]);
    let launched = |few: usize, many: usize| {
        let both = [("aaa".to_owned(), many), ("zzz".to_owned(), few)];
        both.into_iter().filter(|(_, count)| *count > 0).collect::<BTreeMap<String, usize>>()
    };
    assert_eq!(serve(&mut core, at(1_000), offer(1, 100_000)), (launched(2, 8), true));
    assert_eq!(serve(&mut core, at(1_001), offer(2, 100_000)), (launched(0, 10), true));
    assert_eq!(serve(&mut core, at(1_002), offer(3, 100_000)), (launched(0, 5), false));
}

#[test]
fn who_waits_for_its_turn_has_not_waited_in_vain_for_an_offer() {
    let mut core = wanting(&[("aaa", 23)]);
    let mut effects = Effects::new();
    serve(&mut core, at(1_900), offer(1, 100_000));
    core.handle(at(2_100), Input::Tick, &mut effects);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Explain(_))), "{effects:?}");
    assert_eq!(core.next_wakeup(), Some(at(2_900)), "its patience began anew");
    core.handle(at(2_900), Input::Tick, &mut effects);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Explain(told) if told.verb == "wait")));
}

#[test]
fn after_a_round_that_launched_all_it_may_nobody_is_without_a_place_before_others_had_time_to_offer() {
    let mut core = wanting(&[("aaa", 23)]);
    serve(&mut core, at(1_000), offer(1, 1_000));
    assert!(!has_blocked(&core));
    let (launched, asks) = serve(&mut core, at(1_001), offer(2, 300));
    assert_eq!((launched.values().sum::<usize>(), asks), (3, false));
    assert!(!has_blocked(&core), "it is one offer of many");
    assert_eq!(core.next_wakeup(), Some(at(2_000)));
    core.handle(at(2_000), Input::Tick, &mut Effects::new());
    assert!(has_blocked(&core));
}

#[test]
fn nobody_has_waited_in_vain_while_the_kernel_has_not_been_heard_out() {
    let mut core = wanting(&[("aaa", 1)]);
    let mut effects = Effects::new();
    core.observe_backlog(at(5_000));
    core.handle(at(5_500), Input::Tick, &mut effects);
    assert!(effects.is_empty(), "{effects:?}");
    core.handle(at(6_000), Input::Tick, &mut effects);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Explain(told) if told.verb == "wait")));
}

#[test]
fn an_instance_is_on_record_once_it_is_launched_or_known_to_have_no_place() {
    let saved = |effects: &Effects| -> Vec<String> {
        let of = |effect: &Effect| match effect {
            Effect::SaveInstance(instance) => Some(instance.id.to_string()),
            _ => None,
        };
        effects.iter().filter_map(of).collect()
    };
    let mut core = wanting(&[("aaa", 2)]);
    let mut effects = Effects::new();
    core.handle(at(1_500), Input::Tick, &mut effects);
    assert_eq!(saved(&effects), Vec::<String>::new());
    // Room for one of them.
    core.handle(at(1_600), Input::FromKernel(Event::Offers(vec![offer(1, 100)])), &mut effects);
    assert_eq!(saved(&effects), ["aaa.1", "aaa.2"]);
    effects.clear();
    core.handle(at(1_700), Input::FromKernel(Event::Offers(vec![offer(2, 50)])), &mut effects);
    assert_eq!(saved(&effects), Vec::<String>::new(), "there is nothing new to save");
}
