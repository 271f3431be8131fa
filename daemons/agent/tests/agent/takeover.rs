//! One agent after another on the same machine.

use std::time::Duration;

use kogge_agent::{Agent, AgentError, Leaving, Stores};
use kogge_containers::Workers;
use kogge_containers::image::{ImageStore, Limits};
use kogge_host::tasks::TaskGroup;
use kogge_model::id::{ClusterId, TaskId};
use kogge_model::task::{Exit, Outcome, TaskState};

use crate::cloud::{Cloud, Place, eventually, is_alive};

/// An agent that ends without any chance to clean up: its runtime is torn away.
fn agent_that_is_killed(place: &Place, work: impl AsyncFnOnce(&Cloud)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let cloud = runtime.block_on(async {
        let cloud = place.start().await;
        work(&cloud).await;
        cloud
    });
    runtime.shutdown_background();
    std::mem::forget(cloud.links);
    drop(cloud.agent);
}

#[test]
fn killing_the_agent_touches_no_task_and_what_happened_meanwhile_is_collected() {
    let place = Place::new();
    let task = TaskId::new;
    let mut pids = Vec::new();
    agent_that_is_killed(&place, async |cloud| {
        for (name, line) in [
            ("stays", "sleep 1000"),
            ("ends", "while [ ! -e /tmp/go ]; do sleep 0.05; done; echo meanwhile; exit 4"),
            ("loses", "sleep 1000"),
        ] {
            let task = cloud.control.launch(cloud.shell(name, line));
            pids.push(cloud.control.running(&task).await.pid);
        }
    });
    let [stays, ends, loses] = pids[..] else { panic!("{pids:?}") };
    assert!(is_alive(stays) && is_alive(ends) && is_alive(loses));

    // While nobody watches: one task ends, and one loses its supervisor.
    std::fs::write(format!("/proc/{ends}/root/tmp/go"), "").unwrap();
    let shim = crate::endings::supervisor_of(loses);
    let shim = rustix::process::Pid::from_raw(shim).unwrap();
    rustix::process::kill_process(shim, rustix::process::Signal::KILL).unwrap();

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        eventually("it ended", async || !is_alive(ends)).await;
        let cloud = place.start().await;
        let status = cloud.control.ended(&task("ends")).await;
        let TaskState::Ended(ended) = &status.state else { panic!("{status:?}") };
        assert_eq!((ended.outcome, ended.exit), (Outcome::Failed, Some(Exit::Code { code: 4 })));
        assert_eq!(cloud.log(&task("ends")).await, "meanwhile\n");
        let status = cloud.control.ended(&task("loses")).await;
        let TaskState::Ended(ended) = &status.state else { panic!("{status:?}") };
        assert_eq!(ended.outcome, Outcome::Lost, "{status:?}");
        assert!(!is_alive(loses), "it lives on without a supervisor");

        eventually("it is watched again", async || cloud.agent.is_registered().await).await;
        assert_eq!(cloud.control.running(&task("stays")).await.pid, stays);
        assert!(is_alive(stays));
        assert_eq!(cloud.control.history(&task("stays")), ["running"]);
        let verbs: Vec<String> =
            cloud.agent.decisions(Some(&task("stays"))).into_iter().map(|decision| decision.verb).collect();
        assert_eq!(verbs, ["adopt"]);
        cloud.control.kill(&task("stays"), 0);
        cloud.control.ended(&task("stays")).await;
        cloud.end(&place).await;
    });
}

#[tokio::test]
async fn tasks_that_are_kept_run_on_and_are_taken_over() {
    let place = Place::new();
    let cloud = place.start().await;
    let task = cloud.control.launch(cloud.shell("kept", "sleep 1000"));
    let pid = cloud.control.running(&task).await.pid;
    assert!(cloud.agent.shutdown(Leaving::Keep).await.is_empty());
    cloud.links.shutdown(Duration::from_secs(5)).await;
    drop(cloud);
    assert!(is_alive(pid));
    let cloud = place.start().await;
    eventually("it is adopted", async || !cloud.agent.decisions(Some(&task)).is_empty()).await;
    assert!(is_alive(pid) && cloud.control.running(&task).await.pid == pid);
    cloud.end(&place).await;
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn one_directory_serves_one_agent_of_one_cluster() {
    let place = Place::new();
    let cloud = place.start().await;
    let links = TaskGroup::new("second");
    let second = async |config| {
        let dir = tempfile::tempdir().unwrap();
        let workers = Workers::new(1);
        let images = ImageStore::open(dir.path(), Limits::default(), workers.clone()).unwrap();
        let control = crate::control::Control::new();
        Agent::start(config, control.link(&links), Stores { images, workers, peer: None })
            .await
            .err()
            .unwrap()
    };
    let error = second(place.config()).await;
    assert!(error.to_string().contains("another agent runs on") && error.hint().is_some(), "{error}");
    eventually("it is registered", async || cloud.agent.is_registered().await).await;
    cloud.end(&place).await;

    let mut config = place.config();
    config.cluster = Some(ClusterId::new("south"));
    let error = second(config).await;
    assert!(error.to_string().contains("belongs to cluster north, not to south"), "{error}");
    let mut config = place.config();
    config.cloud = "Not A Tag".to_owned();
    assert!(matches!(second(config).await, AgentError::Tag { .. }));
    links.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn what_nobody_remembers_is_cleared_away_and_half_a_record_is_refused() {
    let place = Place::new();
    let cloud = place.start().await;
    let task = cloud.control.launch(cloud.shell("forgotten", "sleep 1000"));
    let pid = cloud.control.running(&task).await.pid;
    cloud.agent.shutdown(Leaving::Keep).await;
    cloud.links.shutdown(Duration::from_secs(5)).await;
    drop(cloud);
    let record = place.data().join("tasks/forgotten.json");
    let text = std::fs::read(&record).unwrap();

    std::fs::write(&record, &text[..text.len() / 2]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let workers = Workers::new(1);
    let images = ImageStore::open(dir.path(), Limits::default(), workers.clone()).unwrap();
    let links = TaskGroup::new("links");
    let link = crate::control::Control::new().link(&links);
    let error =
        Agent::start(place.config(), link, Stores { images, workers, peer: None }).await.err().unwrap();
    assert!(error.to_string().contains("forgotten.json is damaged") && error.hint().is_some(), "{error}");
    assert!(is_alive(pid), "an agent that does not start touches nothing");
    links.shutdown(Duration::from_secs(5)).await;

    std::fs::remove_file(&record).unwrap();
    let cloud = place.start().await;
    assert!(!is_alive(pid), "nobody remembers it, and it runs on");
    assert!(!place.data().join("containers/forgotten").exists());
    cloud.end(&place).await;
}

#[tokio::test]
async fn after_a_reboot_tasks_are_lost_for_that_reason() {
    let place = Place::new();
    let cloud = place.start().await;
    let task = cloud.control.launch(cloud.shell("rebooted", "sleep 1000"));
    let pid = cloud.control.running(&task).await.pid;
    cloud.agent.shutdown(Leaving::Keep).await;
    cloud.links.shutdown(Duration::from_secs(5)).await;
    drop(cloud);
    // As a reboot leaves it: no process, and records that tell of another boot.
    let shim = crate::endings::supervisor_of(pid);
    for pid in [shim, i32::try_from(pid).unwrap()] {
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    eventually("it is gone", async || !is_alive(pid)).await;
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    for file in ["agent.json", "tasks/rebooted.json"] {
        let path = place.data().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(boot_id.trim()));
        std::fs::write(&path, text.replace(boot_id.trim(), "another-boot")).unwrap();
    }
    let cloud = place.start().await;
    let status = cloud.control.ended(&task).await;
    assert_eq!(status.reason.text, "machine rebooted");
    cloud.end(&place).await;
}
