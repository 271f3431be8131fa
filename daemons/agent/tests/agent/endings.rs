//! How tasks end, and what is told of it.

use kogge_model::resources::Bytes;
use kogge_model::task::{Exit, Outcome, TaskState, TaskStatus};
use kogge_model::template::Command;

use crate::cloud::{Place, is_alive, spec, with};

fn outcome(status: &TaskStatus) -> (Outcome, Option<Exit>, &str) {
    match &status.state {
        TaskState::Ended(ended) => (ended.outcome, ended.exit, &status.reason.text),
        state => panic!("it has not ended: {}", state.word()),
    }
}

#[tokio::test]
async fn exit_codes_and_output_are_told_and_the_image_s_own_command_is_the_default() {
    let place = Place::new();
    let cloud = place.start().await;
    let failing = cloud.control.launch(cloud.shell("failing", "echo out; echo $FROM >&2; exit 3"));
    let default = cloud.control.launch(with(cloud.shell("default", ""), |template| template.command = None));
    let status = cloud.control.ended(&failing).await;
    assert_eq!(outcome(&status), (Outcome::Failed, Some(Exit::Code { code: 3 }), "exit code 3"));
    let mut lines: Vec<String> = cloud.log(&failing).await.lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["image", "out"]);
    let status = cloud.control.ended(&default).await;
    assert_eq!(outcome(&status).0, Outcome::Finished);
    assert_eq!(cloud.log(&default).await, "default\n");
    cloud.end(&place).await;
}

#[tokio::test]
async fn a_memory_hog_is_told_from_a_crash() {
    let place = Place::new();
    let cloud = place.start().await;
    let hog = with(cloud.shell("hog", "exec tail /dev/zero"), |template| {
        template.limits.mem_bytes = Bytes::mib(16);
    });
    let hog = cloud.control.launch(hog);
    let crash = cloud.control.launch(cloud.shell("crash", "kill -SEGV $$"));
    let status = cloud.control.ended(&hog).await;
    let text = "out of memory: its limit of 16 MiB was reached";
    assert_eq!(outcome(&status), (Outcome::Failed, Some(Exit::OutOfMemory), text));
    assert!(status.reason.hint.is_some());
    let status = cloud.control.ended(&crash).await;
    let (verdict, exit, _) = outcome(&status);
    // The first process of a container ignores signals it has no handler for; a shell then goes on and ends with 0.
    assert!(matches!((verdict, exit), (Outcome::Failed | Outcome::Finished, Some(_))), "{status:?}");
    cloud.end(&place).await;
}

#[tokio::test]
async fn a_deaf_task_is_killed_after_its_grace_with_everything_in_it() {
    let place = Place::new();
    let cloud = place.start().await;
    let deaf = cloud
        .shell("deaf", "trap '' TERM; (trap '' TERM; sleep 1000) & echo ready; while :; do sleep 1; done");
    let deaf = cloud.control.launch(deaf);
    let polite = cloud
        .control
        .launch(cloud.shell("polite", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done"));
    let pid = cloud.control.running(&deaf).await.pid;
    cloud.control.running(&polite).await;
    // Before that, the first process of a container ignores the signal.
    for task in [&deaf, &polite] {
        crate::cloud::eventually("it is ready", async || cloud.log(task).await.contains("ready")).await;
    }
    cloud.control.kill(&deaf, 300);
    cloud.control.kill(&polite, 20_000);
    let status = cloud.control.ended(&deaf).await;
    assert_eq!(outcome(&status).0, Outcome::Killed);
    assert!(status.reason.text.contains("signal 9"), "{}", status.reason);
    assert!(!is_alive(pid));
    let status = cloud.control.ended(&polite).await;
    assert_eq!(outcome(&status).1, Some(Exit::Code { code: 0 }));
    assert_eq!(cloud.control.history(&polite), ["running", "stopping", "killed"]);
    cloud.end(&place).await;
}

#[tokio::test]
async fn a_task_whose_supervisor_is_killed_is_lost_and_none_of_it_lives_on() {
    let place = Place::new();
    let cloud = place.start().await;
    let task = cloud.control.launch(cloud.shell("orphan", "sleep 1000 & sleep 1000"));
    let pid = cloud.control.running(&task).await.pid;
    let shim = supervisor_of(pid);
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(shim).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    let status = cloud.control.ended(&task).await;
    assert_eq!(outcome(&status).0, Outcome::Lost, "{status:?}");
    assert!(!is_alive(pid), "its process lives on");
    cloud.end(&place).await;
}

/// The supervisor leads the session of whoever started the task: itself, or for a moment a helper of its own.
pub(crate) fn supervisor_of(pid: u32) -> i32 {
    let field = |pid: i32, field: usize| -> i32 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(field).unwrap().parse().unwrap()
    };
    let (parent, session) = (1, 3);
    field(field(i32::try_from(pid).unwrap(), parent), session)
}

#[tokio::test]
async fn what_cannot_start_says_which_step_failed_and_why() {
    let place = Place::new();
    let cloud = place.start().await;
    let missing = with(cloud.shell("missing", ""), |template| {
        template.command = Some(Command::Exec(vec!["/not/there".to_owned()]));
    });
    let stranger =
        with(cloud.shell("stranger", "id"), |template| template.user = Some("nobody-here".to_owned()));
    let no_image = with(cloud.shell("no-image", "id"), |template| {
        let digest = kogge_model::digest::Digest::of(b"no such image");
        template.image = Some(kogge_model::image::ImageRef { name: "gone:latest".to_owned(), digest });
    });
    for (wish, verdict, part) in [
        (missing, Outcome::Failed, "/not/there"),
        (stranger, Outcome::Rejected, "no user \"nobody-here\" in the image"),
        (no_image, Outcome::Failed, "cannot get its image gone:latest"),
    ] {
        let task = cloud.control.launch(wish);
        let status = cloud.control.ended(&task).await;
        assert_eq!(outcome(&status).0, verdict, "{status:?}");
        assert!(status.reason.text.contains(part), "{}", status.reason);
        assert!(status.reason.hint.is_some(), "{} has no hint", status.reason);
    }
    cloud.end(&place).await;
}

#[tokio::test]
async fn a_command_without_an_image_sees_the_machine_but_not_the_cloud() {
    let place = Place::new();
    let cloud = place.start().await;
    let line = format!(
        "id -u; ls {} | wc -l; touch /etc/x || echo refused; touch here && pwd",
        place.data().display()
    );
    let template = kogge_model::template::TaskTemplate {
        command: Some(Command::Shell(line)),
        ..kogge_model::template::TaskTemplate::default()
    };
    let task = cloud.control.launch(spec("plain", template));
    let status = cloud.control.ended(&task).await;
    assert_eq!(outcome(&status).0, Outcome::Finished, "{status:?}: {}", cloud.log(&task).await);
    let log = cloud.log(&task).await;
    for part in ["65534", "\n0\n", "refused", "/tmp/task"] {
        assert!(log.contains(part), "{log}");
    }
    cloud.end(&place).await;
}
