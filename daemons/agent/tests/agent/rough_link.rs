//! The same agent over a link that drops, repeats, delays and reorders.

use std::time::Duration;

use kogge_agent::{LINK_CAPACITY, Link};
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_model::task::{Outcome, TaskState};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use tokio::sync::mpsc;

use crate::cloud::Place;
use crate::control::Control;

/// In percent.
const DROPPED: u32 = 30;
const REPEATED: u32 = 30;
const LONGEST_DELAY_MS: u32 = 150;

/// Carries messages badly. Each travels on its own, so that later ones overtake.
fn carry_badly<T: Clone + Send + 'static>(
    group: &TaskGroup,
    seed: u64,
    mut from: mpsc::Receiver<T>,
    to: mpsc::Sender<T>,
) {
    let (travellers, token) = (group.clone(), group.token());
    group.spawn("rough link", OnPanic::Log, async move {
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        let mut roll = move |limit: u32| chance.next_u32() % limit;
        loop {
            let message = tokio::select! {
                message = from.recv() => message,
                () = token.cancelled() => return,
            };
            let Some(message) = message else { return };
            let copies = if roll(100) < DROPPED { 0 } else { 1 + usize::from(roll(100) < REPEATED) };
            for _ in 0..copies {
                let (message, to, token) = (message.clone(), to.clone(), token.clone());
                let delay = Duration::from_millis(u64::from(roll(LONGEST_DELAY_MS)));
                travellers.spawn("message", OnPanic::Log, async move {
                    tokio::select! {
                        () = tokio::time::sleep(delay) => { let _ = to.send(message).await; }
                        () = token.cancelled() => {}
                    }
                });
            }
        }
    });
}

fn rough_link(control: &Control, group: &TaskGroup, seed: u64) -> Link {
    let (to_control, said) = mpsc::channel(LINK_CAPACITY);
    let (heard, incoming) = mpsc::channel(LINK_CAPACITY);
    carry_badly(group, seed, said, heard);
    let (outgoing, ordered) = mpsc::channel(LINK_CAPACITY);
    let (told, from_control) = mpsc::channel(LINK_CAPACITY);
    carry_badly(group, seed + 1, ordered, told);
    control.attach(group, incoming, outgoing);
    Link { to_control, from_control }
}

#[tokio::test]
async fn every_task_runs_once_and_every_end_arrives_whatever_the_link_does() {
    for seed in [1, 77] {
        let place = Place::new();
        let links = TaskGroup::new("links");
        let link = rough_link(&place.control, &links, seed);
        let cloud = place.start_with(link, links).await;
        let (control, mut killed, mut ending) = (cloud.control.clone(), Vec::new(), Vec::new());
        for n in 0..6 {
            killed.push(control.launch(cloud.shell(&format!("killed-{n}"), "echo ran; sleep 1000")));
            ending.push(control.launch(cloud.shell(&format!("ending-{n}"), "echo ran; exit 2")));
        }
        for (n, task) in killed.iter().enumerate() {
            // Some are told to end before they have started.
            if n % 2 == 0 {
                control.running(task).await;
            }
            control.kill(task, 0);
        }
        for (task, outcome) in killed
            .iter()
            .map(|task| (task, Outcome::Killed))
            .chain(ending.iter().map(|task| (task, Outcome::Failed)))
        {
            let status = control.ended(task).await;
            let TaskState::Ended(ended) = &status.state else { panic!("{status:?}") };
            assert_eq!(ended.outcome, outcome, "seed {seed}: {status:?}");
            let runs = cloud.log(task).await.matches("ran").count();
            assert!(runs <= 1, "seed {seed}: {task} ran {runs} times");
            assert!(outcome == Outcome::Killed || runs == 1, "seed {seed}: {task} did not run");
        }
        cloud.end(&place).await;
    }
}
