//! A kernel that follows records looks like one that was restored from all of them.

mod world;

use std::collections::BTreeSet;

use kogge_kernel::{AgentRecord, FrameworkRecord, Kernel, RecordChanges, Records, Rules, TaskRecord};
use kogge_model::scheduler::FrameworkInfo;
use kogge_model::task::{Outcome, TaskState, TaskStatus};
use kogge_model::time::Timestamp;
use proptest::prelude::*;
use world::{Store, agent, config, ended, fw, info, running, size, spec, task};

const AGENTS: [&str; 3] = ["m0", "m1", "m2"];
const FRAMEWORKS: [&str; 2] = ["a", "b"];

/// One record written or removed, by the names and states there are.
#[derive(Debug, Clone)]
enum Step {
    Agent { agent: usize, cpu: Option<u64>, is_drained: bool },
    Framework { framework: usize, is_ending: Option<bool> },
    Task { task: u8, agent: usize, framework: usize, cpu: u64, run: u64, state: Option<u8> },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0..3usize, prop::option::weighted(0.7, 500..2_000u64), any::<bool>())
            .prop_map(|(agent, cpu, is_drained)| Step::Agent { agent, cpu, is_drained }),
        1 => (0..2usize, prop::option::weighted(0.7, any::<bool>()))
            .prop_map(|(framework, is_ending)| Step::Framework { framework, is_ending }),
        4 => (0..8u8, 0..3usize, 0..2usize, 1..400u64, 1..99u64, prop::option::weighted(0.8, 0..4u8))
            .prop_map(|(task, agent, framework, cpu, run, state)| {
                Step::Task { task, agent, framework, cpu, run, state }
            }),
    ]
}

/// The states a record can have: launched, running, given up, ended.
fn status(name: &str, on: &str, run: u64, state: u8) -> TaskStatus {
    let (sequence, state) = match state {
        0 => (0, TaskState::Starting),
        1 => (2, running()),
        2 => (0, ended(Outcome::Lost)),
        _ => (3, ended(Outcome::Finished)),
    };
    let run = kogge_model::id::RunId(run);
    TaskStatus {
        task: task(name),
        run,
        agent: agent(on),
        sequence,
        at: Timestamp::ZERO,
        state,
        reason: "test".into(),
    }
}

fn task_record(name: &str, on: &str, of: &str, cpu: u64, status: TaskStatus) -> TaskRecord {
    let mut spec = spec(name, cpu, &[31_000 + u16::try_from(cpu % 5).expect("it is below 5")]);
    spec.instance = Some(format!("shop/{of}.1").parse().expect("an instance"));
    assert_eq!(status.agent, agent(on));
    TaskRecord { framework: fw(of), spec: spec.into(), status, kill: None }
}

fn agent_record(name: &str, cpu: u64, is_drained: bool) -> AgentRecord {
    let mut rules = Rules::default();
    if is_drained {
        rules.drain = Some(kogge_kernel::Drain { since: Timestamp::ZERO, reason: "test".into() });
    }
    AgentRecord { info: info(name, size(cpu, &[(31_000, 31_009)])), rules }
}

fn framework_record(name: &str, is_ending: bool) -> FrameworkRecord {
    let info =
        FrameworkInfo { framework: fw(name), name: name.into(), weight_millis: 1_000, failover_ms: u64::MAX };
    FrameworkRecord { info, is_ending }
}

/// Writes it down, and what changed.
fn write(step: &Step, store: &mut Store, touched: &mut Touched) {
    match step {
        Step::Agent { agent: index, cpu, is_drained } => {
            let name = AGENTS[*index];
            touched.agents.insert(agent(name));
            match cpu {
                Some(cpu) => {
                    drop(store.agents.insert(agent(name), agent_record(name, *cpu, *is_drained)));
                }
                None => drop(store.agents.remove(&agent(name))),
            }
        }
        Step::Framework { framework, is_ending } => {
            let name = FRAMEWORKS[*framework];
            touched.frameworks.insert(fw(name));
            match is_ending {
                Some(is_ending) => {
                    drop(store.frameworks.insert(fw(name), framework_record(name, *is_ending)));
                }
                None => drop(store.frameworks.remove(&fw(name))),
            }
        }
        Step::Task { task: index, agent: on, framework, cpu, run, state } => {
            let name = format!("t{index}");
            touched.tasks.insert(task(&name));
            match state {
                Some(state) => {
                    let (on, of) = (AGENTS[*on], FRAMEWORKS[*framework]);
                    let record = task_record(&name, on, of, *cpu, status(&name, on, *run, *state));
                    drop(store.tasks.insert(task(&name), record));
                }
                None => drop(store.tasks.remove(&task(&name))),
            }
        }
    }
}

#[derive(Default)]
struct Touched {
    agents: BTreeSet<kogge_model::id::AgentId>,
    frameworks: BTreeSet<kogge_model::id::FrameworkId>,
    tasks: BTreeSet<kogge_model::id::TaskId>,
}

impl Touched {
    fn changes(self, store: &Store) -> RecordChanges {
        let saved = Records {
            agents: self.agents.iter().filter_map(|id| store.agents.get(id)).cloned().collect(),
            frameworks: self.frameworks.iter().filter_map(|id| store.frameworks.get(id)).cloned().collect(),
            tasks: self.tasks.iter().filter_map(|id| store.tasks.get(id)).cloned().collect(),
            highest_run: store.highest_run,
        };
        let is_gone = |is_there: bool| !is_there;
        RecordChanges {
            saved,
            forgotten_agents: {
                self.agents.into_iter().filter(|id| is_gone(store.agents.contains_key(id))).collect()
            },
            forgotten_frameworks: {
                self.frameworks.into_iter().filter(|id| is_gone(store.frameworks.contains_key(id))).collect()
            },
            forgotten_tasks: {
                self.tasks.into_iter().filter(|id| is_gone(store.tasks.contains_key(id))).collect()
            },
        }
    }
}

/// All that can be seen of it.
fn seen(kernel: &Kernel) -> Vec<String> {
    let view = kernel.view();
    let agents = view.agents().map(|known| {
        let books = (known.held(), known.free(), known.is_over_committed(), known.is_emptying());
        format!(
            "{:?} {:?} {:?} {books:?} {:?}",
            known.info(),
            known.rules(),
            known.attributes(),
            known.phase()
        )
    });
    let frameworks = view.frameworks().map(|known| format!("{known:?}"));
    let tasks = view.tasks().map(|record| format!("{record:?}"));
    let places = FRAMEWORKS.map(|name| view.why_no_place(&fw(name), &size(900, &[])).to_string());
    agents.chain(frameworks).chain(tasks).chain(places).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_follower_looks_like_one_that_was_restored(
        words in prop::collection::vec(prop::collection::vec(step(), 1..6), 1..30),
    ) {
        let now = Timestamp::from_secs(1_000);
        let mut store = Store::default();
        let mut follower = Kernel::restore(now, config(2), store.records());
        for word in words {
            let mut touched = Touched::default();
            word.iter().for_each(|step| write(step, &mut store, &mut touched));
            follower.follow(now, touched.changes(&store));
            let restored = Kernel::restore(now, config(2), store.records());
            prop_assert_eq!(seen(&follower), seen(&restored));
            prop_assert!(follower.view().newest_run() >= restored.view().newest_run());
            prop_assert_eq!(follower.next_wakeup(), None);
        }
        let records = follower.into_records();
        prop_assert_eq!(&records, &store.records());
        prop_assert_eq!(seen(&Kernel::restore(now, config(3), records)), seen(&Kernel::restore(now, config(3), store.records())));
    }
}
