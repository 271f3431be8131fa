//! Taking a cloud down.

use std::time::{Duration, Instant};

use kogge_model::task::TaskState;

use crate::cloud::{Place, with};

#[tokio::test]
async fn taking_the_cloud_down_ends_all_tasks_at_once_and_leaves_nothing() {
    let place = Place::new();
    let cloud = place.start().await;
    let control = cloud.control.clone();
    let deaf: Vec<_> = (0..4)
        .map(|n| {
            let spec = cloud.shell(&format!("deaf-{n}"), "trap '' TERM; while :; do sleep 1; done");
            control.launch(with(spec, |template| template.kill_grace_ms = 5_000))
        })
        .collect();
    for task in &deaf {
        control.running(task).await;
    }
    let began = Instant::now();
    cloud.end(&place).await;
    // One after the other would take four times their grace.
    assert!(began.elapsed() < Duration::from_secs(15), "it took {:?}", began.elapsed());
    for task in &deaf {
        let status = control.heard(task).unwrap();
        assert!(matches!(status.state, TaskState::Ended(_)), "{status:?}");
        assert!(status.reason.text.contains("the test is over"), "{}", status.reason);
    }
}
