use std::time::Duration;

use kogge_host::tasks::TaskGroup;
use kogge_model::caller::Caller;
use kogge_model::link::{FromAgent, ToControl};
use kogge_model::name::ServiceId;
use kogge_model::task::{Ended, Exit, Outcome, TaskState};
use kogge_revisions::{Edit, TreePath};
use kogge_store::backend::redb::{Embedded, Options};
use kogge_store::{Commit, Store};

use super::*;
use crate::change::Wish;
use crate::cloud::tests::{NOW, rounds, runs, wish, with_agents};
use crate::round::Round;

/// A leader that saves, and a server beside it that is looked at.
struct Pair {
    leader: Cloud,
    store: Arc<dyn Store>,
    copy: Copy,
    view: View,
    shown: Cloud,
    group: TaskGroup,
    _directory: tempfile::TempDir,
}

impl Pair {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(Embedded::open(directory.path(), Options::default()).await.unwrap());
        let group = TaskGroup::new("test");
        let copy = Copy::follow(Arc::clone(&store), Image::default(), &group);
        let (leader, shown) = (with_agents(), crate::cloud::tests::cloud());
        Self { leader, store, copy, view: View::default(), shown, group, _directory: directory }
    }

    async fn save(&self, rounds: Vec<Round>) {
        for round in rounds {
            for (key, value) in round.batch.into_writes() {
                let commit = match value {
                    Some(value) => Commit::new().put(key, value),
                    None => Commit::new().delete(key),
                };
                self.store.commit(commit).await.unwrap();
            }
        }
    }

    /// What agents and users do in one go; what is launched then runs.
    async fn turn(&mut self, edits: &[Edit], words: Vec<FromAgent>) {
        let mut round = Round::begin(NOW);
        let wish = Wish { caller: Caller::local_operator(), message: "deploy".into(), is_plan: false };
        if !edits.is_empty() {
            self.leader.change(edits, &wish, &mut round).unwrap();
        }
        words.into_iter().for_each(|word| self.leader.hear_agent(word, &mut round));
        let mut all = rounds(&mut self.leader, round);
        let orders: Vec<_> = all.iter_mut().flat_map(|round| std::mem::take(&mut round.outbox)).collect();
        let mut answer = Round::begin(NOW);
        orders.into_iter().filter_map(runs).for_each(|word| self.leader.hear_agent(word, &mut answer));
        all.extend(rounds(&mut self.leader, answer));
        self.leader.journal.save(&mut all.last_mut().unwrap().batch);
        self.save(all).await;
    }

    async fn look(&mut self) -> Result<bool, LoadError> {
        assert!(self.copy.catch_up().await);
        self.view.refresh(&self.copy, &mut self.shown).await
    }

    /// That some tasks ended.
    fn ends(&self, count: usize) -> Vec<FromAgent> {
        let tasks = self.leader.kernel.view().tasks().filter(|task| task.is_live()).take(count);
        let ended = |task: &kogge_kernel::TaskRecord| {
            let mut status = task.status.clone();
            let exit = Some(Exit::Code { code: 1 });
            status.sequence += 1;
            status.state = TaskState::Ended(Ended { at: NOW, outcome: Outcome::Failed, exit });
            FromAgent { agent: status.agent.clone(), body: ToControl::Status(status) }
        };
        tasks.map(ended).collect()
    }
}

/// What can be seen of it. Deployments under way get more time when they are loaded.
fn seen(cloud: &Cloud) -> Vec<String> {
    let tree = format!("{:?}", cloud.tree);
    let services =
        cloud.services.iter().map(|service| format!("{:?} {:?}", service.record.wanted, service.instances));
    let view = cloud.kernel.view();
    let agents =
        view.agents().map(|agent| format!("{:?} {:?} {:?}", agent.info(), agent.rules(), agent.free()));
    let tasks = view.tasks().map(|task| format!("{task:?}"));
    let decisions = cloud.journal.oldest_first().map(|service| {
        let told: Vec<_> = cloud.journal.of(Some(service)).collect();
        format!("{told:?}")
    });
    let others: Vec<_> = cloud.journal.of(None).collect();
    let ended =
        cloud.ended.services().map(|service| format!("{:?}", cloud.ended.of(service).collect::<Vec<_>>()));
    let rest = [tree, format!("{others:?}"), format!("{:?}", cloud.access)];
    services.chain(agents).chain(tasks).chain(decisions).chain(ended).chain(rest).collect()
}

fn service(name: &str) -> ServiceId {
    format!("/default/{name}").parse().unwrap()
}

#[tokio::test]
async fn a_server_that_begins_with_what_it_has_read_goes_on_with_that() {
    let mut pair = Pair::new().await;
    let web = service("web");
    pair.turn(&[wish(&web, 3)], Vec::new()).await;
    let mut image = Image::read(pair.store.as_ref()).await.unwrap();
    let (settings, sharing) = (pair.shown.settings.clone(), Arc::default());
    pair.shown = load::shared_cloud(&image, settings.clone(), NOW, &sharing).unwrap();
    pair.view = View::of(&mut image, sharing);
    pair.copy = Copy::follow(Arc::clone(&pair.store), image, &pair.group);
    assert!(pair.view.is_ready());
    assert!(!pair.look().await.unwrap(), "there is nothing new");
    // What is made anew does not have this mark.
    pair.shown.stale.insert(web.clone());
    pair.turn(&[wish(&web, 5)], Vec::new()).await;
    assert!(pair.look().await.unwrap());
    assert!(pair.shown.stale.contains(&web), "it was made anew");
    let anew = load::cloud(&pair.copy.snapshot(), settings, NOW).unwrap();
    assert_eq!(seen(&pair.shown), seen(&anew));
    assert_eq!(pair.group.shutdown(Duration::from_secs(30)).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_view_goes_on_by_what_changed_and_is_what_a_new_one_would_be() {
    let mut pair = Pair::new().await;
    let (web, job) = (service("web"), service("job"));
    pair.turn(&[wish(&web, 3)], Vec::new()).await;
    assert!(pair.look().await.unwrap());
    // What is made anew does not have this mark.
    pair.shown.stale.insert(web.clone());
    for turn in 0..40u32 {
        let mut edits = vec![wish(&web, 1 + turn % 7)];
        if turn % 5 == 0 {
            edits.push(wish(&job, 1 + turn % 3));
        } else if turn % 5 == 4 {
            edits.push(Edit::remove(TreePath::from(&job)));
        }
        let ends = pair.ends(turn as usize % 3);
        pair.turn(&edits, ends).await;
        assert!(pair.look().await.unwrap());
        let anew = load::cloud(&pair.copy.snapshot(), pair.shown.settings.clone(), NOW).unwrap();
        assert_eq!(seen(&pair.shown), seen(&anew), "turn {turn}");
        assert!(pair.shown.stale.contains(&web), "turn {turn} made it anew");
        assert!(!pair.look().await.unwrap(), "nothing changed");
    }
    let (ended, told) = (pair.shown.ended.of(&web).count(), pair.shown.journal.of(Some(&web)).count());
    assert!(ended > 3 && told >= crate::journal::KEPT, "{ended} ended, {told} told");
    assert_eq!(pair.group.shutdown(Duration::from_secs(30)).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_cannot_be_followed_is_told_and_made_anew_once_it_is_whole() {
    let mut pair = Pair::new().await;
    let web = service("web");
    pair.turn(&[wish(&web, 1)], Vec::new()).await;
    assert!(pair.look().await.unwrap());
    pair.shown.stale.insert(web.clone());
    // A revision whose root is nowhere.
    let mut lost = pair.shown.tree.head().unwrap().clone();
    lost.root = Digest::of(b"nowhere");
    lost.id = RevisionId(lost.id.0 + 1);
    let key = keys::revision(lost.id);
    pair.store.commit(Commit::new().put(key.clone(), serde_json::to_vec(&lost).unwrap())).await.unwrap();
    let refused = pair.look().await.unwrap_err().to_string();
    assert!(refused.contains("is missing"), "{refused}");
    pair.store.commit(Commit::new().delete(key)).await.unwrap();
    assert!(pair.look().await.unwrap());
    assert!(!pair.shown.stale.contains(&web), "what was followed in part is not gone on with");
    assert_eq!(pair.group.shutdown(Duration::from_secs(30)).await, Vec::<String>::new());
}

#[tokio::test]
async fn whoever_takes_his_time_with_the_copy_holds_nobody_up() {
    let mut pair = Pair::new().await;
    pair.turn(&[wish(&service("web"), 2)], Vec::new()).await;
    assert!(pair.copy.catch_up().await);
    let old = pair.copy.snapshot();
    let count = old.under(keys::INSTANCES).count();
    // With the snapshot in hand the copy goes on, and whoever asks it is answered.
    pair.turn(&[wish(&service("web"), 5)], Vec::new()).await;
    assert!(pair.copy.catch_up().await);
    assert_eq!((old.under(keys::INSTANCES).count(), count), (2, 2));
    assert_eq!(pair.copy.image().under(keys::INSTANCES).count(), 5);
    assert_eq!(pair.group.shutdown(Duration::from_secs(30)).await, Vec::<String>::new());
}

#[tokio::test]
async fn whoever_is_elected_goes_on_with_what_he_showed() {
    let mut pair = Pair::new().await;
    let web = service("web");
    pair.turn(&[wish(&web, 3)], Vec::new()).await;
    // Made in time, before anybody looks.
    assert!(pair.copy.catch_up().await);
    pair.view.prepare(&pair.copy, &pair.shown);
    pair.view.made(&mut pair.shown).await.unwrap();
    let specs = |cloud: &Cloud| {
        let tasks = cloud.kernel.view().tasks();
        tasks.map(|task| (task.spec.task.clone(), Arc::as_ptr(&task.spec))).collect::<Vec<_>>()
    };
    let early = specs(&pair.shown);
    assert_eq!(early.len(), 3);
    pair.turn(&[wish(&web, 5), wish(&service("job"), 2)], Vec::new()).await;
    assert!(pair.copy.catch_up().await);

    let settings =
        Settings { term: kogge_model::id::Term(9), is_founder: false, ..pair.shown.settings.clone() };
    let anew = load::cloud(&pair.copy.snapshot(), settings.clone(), NOW).unwrap();
    pair.view.lead(&pair.copy, &mut pair.shown, settings).await.unwrap();
    assert_eq!(seen(&pair.shown), seen(&anew));
    assert_eq!(pair.shown.settings.term, anew.settings.term);
    let late = specs(&pair.shown);
    assert!(late.len() == 7 && early.iter().all(|known| late.contains(known)), "they were made anew");
    // As a leader he has nothing to change.
    let mut round = Round::begin(NOW);
    pair.shown.begin(&mut round);
    let orders: usize = rounds(&mut pair.shown, round).iter().map(|round| round.outbox.len()).sum();
    assert_eq!(orders, 0);
    assert_eq!(pair.group.shutdown(Duration::from_secs(30)).await, Vec::<String>::new());
}

#[tokio::test]
async fn whoever_is_elected_takes_no_cores_that_lack_something() {
    let mut pair = Pair::new().await;
    pair.turn(&[wish(&service("web"), 3)], Vec::new()).await;
    assert!(pair.look().await.unwrap());
    // As if an event had been overlooked.
    let lost = pair.shown.kernel.view().tasks().next().unwrap().spec.task.clone();
    let forgotten_tasks = vec![lost.clone()];
    pair.shown.kernel.follow(NOW, kogge_kernel::RecordChanges { forgotten_tasks, ..Default::default() });
    let settings = pair.shown.settings.clone();
    pair.view.lead(&pair.copy, &mut pair.shown, settings).await.unwrap();
    assert!(pair.shown.kernel.view().task(&lost).is_some(), "a task would be ended that is on record");
    assert_eq!(pair.group.shutdown(Duration::from_secs(30)).await, Vec::<String>::new());
}
