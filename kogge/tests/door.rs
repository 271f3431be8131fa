//! The API beyond loopback, with the real binary, a real git and a real curl.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kogge_testkit::CloudUnderTest;
use serde_json::Value;

const KOGGE: &str = env!("CARGO_BIN_EXE_kogge");

/// A cloud that listens on all addresses, and somebody with a token.
struct Wide {
    cloud: CloudUnderTest,
    api: String,
    token: String,
}

impl Wide {
    fn up() -> Self {
        let cloud = CloudUnderTest::up(KOGGE);
        let mut wide = Self { cloud, api: String::new(), token: String::new() };
        wide.restart();
        wide.token = wide.cloud.ok(&["token", "create", "ann"]).trim().to_owned();
        wide
    }

    fn restart(&mut self) {
        self.cloud.ok(&["down"]);
        self.cloud.start_with(&["--api-bind", "0.0.0.0:0", "--api-name", "localhost"]);
        self.api = self.cloud.json(&["doors"])["api_tls"].as_str().unwrap().to_owned();
        assert!(self.api.starts_with("https://localhost:"), "{}", self.api);
    }

    /// The program as somebody elsewhere has it: an address and a token, nothing more.
    fn elsewhere(&self, token: &str, words: &[&str]) -> Output {
        let mut command = self.cloud.command(words);
        command.env_remove("KOGGE_DATA").env("KOGGE_API", &self.api).env("KOGGE_TOKEN", token);
        command.env_remove("XDG_CONFIG_HOME").env("HOME", self.cloud.scratch()).output().unwrap()
    }

    fn ok(&self, words: &[&str]) -> String {
        let output = self.elsewhere(&self.token, words);
        assert!(output.status.success(), "{words:?}: {}\n{}", told(&output), self.cloud.log());
        String::from_utf8(output.stdout).unwrap()
    }

    fn curl(&self, ca: &Path, words: &[&str], path: &str) -> String {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--include", "--max-time", "20", "--cacert"]).arg(ca);
        let output = curl.args(words).arg(format!("{}{path}", self.api)).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &told(&output)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let file = self.cloud.scratch().join(name);
        let mut out = std::fs::File::options().write(true).create_new(true).mode(0o600).open(&file).unwrap();
        out.write_all(text.as_bytes()).unwrap();
        file
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_operator_elsewhere_needs_an_address_and_a_token_and_nothing_else() {
    let wide = Wide::up();
    wide.cloud.load_busybox("busybox:test");
    wide.ok(&[
        "deploy",
        "--name",
        "shop",
        "--image",
        "busybox:test",
        "--",
        "sh",
        "-c",
        "echo hello; sleep 1000",
    ]);
    wide.cloud.healthy("shop", 1);
    assert_eq!(wide.ok(&["exec", "shop.1", "--", "echo", "inside"]).trim(), "inside");
    let logs = kogge_testkit::wait::until("the line", kogge_testkit::cloud::PATIENCE, || {
        Some(wide.ok(&["logs", "shop"])).filter(|logs| logs.contains("hello"))
    });
    assert!(logs.contains("hello"));
    let archive = wide.cloud.scratch().join("busybox.tar").display().to_string();
    wide.ok(&["image", "load", &archive, "--name", "again:1"]);
    let nodes: Value = serde_json::from_str(&wide.ok(&["node", "list", "--output", "json"])).unwrap();
    assert!(nodes.as_array().is_some_and(|nodes| !nodes.is_empty()));

    // The local door goes on as before, without a token.
    assert!(wide.cloud.door("api").starts_with("127.0.0.1:"));

    // The first server is gone: the next one is asked.
    let servers = format!("https://127.0.0.1:1,{}", wide.api);
    assert!(wide.ok(&["ps", "--api", &servers]).contains("shop"));
    let file = wide.file("token", &wide.token);
    let mut command = wide.cloud.command(&["ps", "--api", &wide.api, "--token-file", file.to_str().unwrap()]);
    assert!(command.env_remove("KOGGE_TOKEN").env("HOME", "/nonexistent").output().unwrap().status.success());
    wide.cloud.down();
}

#[test]
fn tokens_and_their_ends_outlive_the_process() {
    let mut wide = Wide::up();
    let bob = wide.cloud.ok(&["token", "create", "bob", "--expires", "never"]).trim().to_owned();
    wide.ok(&["token", "revoke", "bob"]);
    wide.restart();
    assert!(wide.ok(&["token", "list"]).contains("ann"));
    let refused = wide.elsewhere(&bob, &["ps"]);
    assert!(told(&refused).contains("the token bob was revoked at"), "{}", told(&refused));
    wide.cloud.down();
}

#[test]
fn tokens_that_open_nothing_are_one_sentence_and_a_hint() {
    let wide = Wide::up();
    let other = format!("koggeop1.{}.{}.{}", "ab".repeat(6), "cd".repeat(16), "ef".repeat(32));
    let wrong = {
        let parts: Vec<&str> = wide.token.split('.').collect();
        format!("{}.{}.{}.{}", parts[0], parts[1], "0".repeat(32), parts[3])
    };
    let check = |token: &str, part: &str| {
        let output = wide.elsewhere(token, &["ps"]);
        let told = told(&output);
        assert!(!output.status.success() && told.contains(part) && told.contains("hint: "), "{told}");
    };
    check(&other, "not of the cluster that gave out the token");
    check(&wrong, "the token is wrong");
    check("rubbish", "is not a token of an operator");
    check("", "asks for a token, and there is none");
    wide.cloud.ok(&["token", "revoke", "ann"]);
    check(&wide.token, "the token ann was revoked at");
    let listed = wide.cloud.json(&["token", "list"]);
    assert_eq!((&listed[0]["name"], &listed[0]["state"]), (&"ann".into(), &"revoked".into()));
    let secret = wrong.split('.').nth(2).unwrap();
    let log = wide.cloud.log();
    assert!(log.contains("somebody was not let in") && !log.contains(secret), "{log}");
    assert!(!log.contains(wide.token.split('.').nth(2).unwrap()), "{log}");
    wide.cloud.down();
}

#[test]
fn curl_and_git_come_in_with_the_certificate_and_a_token_and_not_without() {
    let wide = Wide::up();
    let ca = wide.file("ca.pem", &wide.ok(&["ca"]));
    let bearer = format!("Authorization: Bearer {}", wide.token);
    assert!(wide.curl(&ca, &["--header", &bearer], "/api/v1/status").contains(" 200"));
    let refused = wide.curl(&ca, &[], "/api/v1/status").to_lowercase();
    assert!(refused.contains(" 401") && refused.contains("www-authenticate: bearer"), "{refused}");

    wide.cloud.load_busybox("busybox:test");
    let checkout = wide.cloud.scratch().join("hello");
    std::fs::create_dir_all(&checkout).unwrap();
    let git = |words: &[&str], token: &str| {
        let who = ["-c", "user.name=test", "-c", "user.email=test@example.org"];
        let mut git = Command::new("git");
        git.args(who).args(words).current_dir(&checkout).env("GIT_TERMINAL_PROMPT", "0");
        git.env_remove("GIT_SSL_CAINFO")
            .env("KOGGE_TOKEN", token)
            .env("HOME", wide.cloud.scratch())
            .output()
            .unwrap()
    };
    let done = |words: &[&str]| {
        let output = git(words, &wide.token);
        assert!(output.status.success(), "git {words:?}: {}\n{}", told(&output), wide.cloud.log());
        told(&output)
    };
    done(&["init", "--quiet", "--initial-branch=main"]);
    let mut create = wide.cloud.command(&["create", "hello"]);
    create.env_remove("KOGGE_DATA").env("KOGGE_API", &wide.api).env("KOGGE_TOKEN", &wide.token);
    let created = create.current_dir(&checkout).output().unwrap();
    assert!(created.status.success(), "{}", told(&created));
    assert!(told(&created).contains("git trusts https://localhost:"), "{}", told(&created));
    let dockerfile = "FROM busybox:test\nEXPOSE 8080\nCMD [\"httpd\", \"-f\", \"-p\", \"8080\"]\n";
    std::fs::write(checkout.join("Dockerfile"), dockerfile).unwrap();
    done(&["add", "--all"]);
    done(&["commit", "--quiet", "--message", "a change"]);
    let refused = git(&["push", "kogge", "main"], "");
    assert!(!refused.status.success(), "a push without a token went through");
    let said = done(&["push", "kogge", "main"]);
    assert!(said.contains("is live at http://hello.localhost"), "{said}");
    let revisions = wide.curl(&ca, &["--header", &bearer], "/api/v1/revisions");
    assert!(revisions.contains("\"ann, git push\"") && revisions.contains("\"ann\""), "{revisions}");
    wide.cloud.down();
}

#[test]
fn names_that_are_none_are_refused_before_anything_starts() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(KOGGE)
        .args(["up", "--doors", "ephemeral", "--api-bind", "0.0.0.0:0", "--api-name", "https://s1"])
        .env("KOGGE_DATA", directory.path().join("data"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).contains("is neither an address nor the name of a host"), "{}", told(&output));
}
