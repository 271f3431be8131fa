//! `git push` with a real git: built, released, or refused with its own sentence.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kogge_testkit::CloudUnderTest;

const KOGGE: &str = env!("CARGO_BIN_EXE_kogge");
const SERVE: &str = "mkdir -p /tmp/www && cp /index.html /tmp/www/ && exec httpd -f -p 8080 -h /tmp/www";

struct Checkout {
    path: PathBuf,
}

impl Checkout {
    fn new(cloud: &CloudUnderTest, app: &str) -> Self {
        let checkout = Self { path: cloud.scratch().join(app) };
        std::fs::create_dir_all(&checkout.path).unwrap();
        checkout.git(&["init", "--quiet", "--initial-branch=main"]);
        let api = cloud.door("api");
        checkout.git(&["remote", "add", "kogge", &format!("http://{api}/git/{app}.git")]);
        checkout
    }

    fn try_git(&self, words: &[&str]) -> Output {
        let who = ["-c", "user.name=test", "-c", "user.email=test@example.org"];
        Command::new("git").args(who).args(words).current_dir(&self.path).output().unwrap()
    }

    fn git(&self, words: &[&str]) -> String {
        let output = self.try_git(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "git {words:?}: {said}");
        said
    }

    fn commit(&self, files: &[(&str, &str)]) {
        for (name, text) in files {
            std::fs::write(self.path.join(name), text).unwrap();
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "a change"]);
    }

    fn push_fails(&self, words: &[&str]) -> String {
        let output = self.try_git(&[&["push", "kogge"], words].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "the push went through: {said}");
        said
    }
}

fn dockerfile(more: &str) -> String {
    dockerfile_for(more, SERVE)
}

fn dockerfile_for(more: &str, command: &str) -> String {
    format!(
        "FROM busybox:test\nCOPY index.html /\n{more}\nEXPOSE 8080\nLABEL kogge.health=/\nCMD [\"sh\", \"-c\", \"{command}\"]\n"
    )
}

fn remote_main(path: &Path) -> String {
    let output = Command::new("git")
        .args(["ls-remote", "kogge", "refs/heads/main"])
        .current_dir(path)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_push_becomes_a_running_service_and_a_broken_one_changes_nothing() {
    let cloud = CloudUnderTest::up(KOGGE);
    cloud.load_busybox("busybox:test");
    cloud.ok(&["create", "hello"]);
    let checkout = Checkout::new(&cloud, "hello");
    checkout
        .commit(&[("Dockerfile", &dockerfile("RUN echo built in a container")), ("index.html", "first\n")]);
    let said = checkout.git(&["push", "kogge", "main"]);
    assert!(
        said.contains("built in a container") && said.contains("is live at http://hello.localhost"),
        "{said}"
    );
    assert!(cloud.get("hello.localhost", "/").unwrap().text.contains("first"));

    checkout.commit(&[("index.html", "second\n")]);
    checkout.git(&["push", "kogge", "main"]);
    assert!(cloud.get("hello.localhost", "/").unwrap().text.contains("second"));
    let stands = remote_main(&checkout.path);

    checkout.commit(&[("Dockerfile", &dockerfile("RUN false"))]);
    let said = checkout.push_fails(&["main"]);
    assert!(said.contains("could not be built"), "{said}");
    checkout.commit(&[("Dockerfile", &dockerfile_for("", "exit 3"))]);
    let said = checkout.push_fails(&["main"]);
    assert!(said.contains("exit code 3") && said.contains("runs on"), "{said}");
    assert_eq!(remote_main(&checkout.path), stands, "the ref moved though the push was declined");
    assert!(cloud.get("hello.localhost", "/").unwrap().text.contains("second"));
    cloud.down();
}

#[test]
fn each_push_that_is_no_release_has_its_own_sentence() {
    let cloud = CloudUnderTest::up(KOGGE);
    cloud.ok(&["create", "hello"]);
    let checkout = Checkout::new(&cloud, "hello");
    checkout.commit(&[("README", "nothing to build\n")]);
    assert!(checkout.push_fails(&["main"]).contains("there is no Dockerfile at the top of commit"));
    assert!(checkout.push_fails(&["main:topic"]).contains("topic is not released"));
    checkout.git(&["tag", "v1"]);
    assert!(checkout.push_fails(&["v1"]).contains("tags/v1 is not released"));
    let stranger = Checkout::new(&cloud, "stranger");
    stranger.commit(&[("README", "x\n")]);
    assert!(stranger.push_fails(&["main"]).contains("there is no app stranger"));
    let empty = Checkout::new(&cloud, "hello2");
    assert!(!empty.try_git(&["push", "kogge", "main"]).status.success());
    cloud.down();
}
