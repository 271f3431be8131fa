//! A cloud under test.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::{image, remains, wait};

/// How long anything may take on a slow, busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The real binary, running a cloud of its own.
pub struct CloudUnderTest {
    program: PathBuf,
    directory: TempDir,
    is_down: bool,
}

/// What the router answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Everything, header included.
    pub text: String,
}

impl CloudUnderTest {
    /// Starts `program up --detach` with ephemeral doors, and waits until it is up.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn up(program: &str) -> Self {
        let directory =
            tempfile::Builder::new().prefix("kogge-test-").tempdir().expect("a directory for the test");
        let cloud = Self { program: program.into(), directory, is_down: false };
        cloud.start();
        cloud
    }

    /// Starts it, for the first time or again.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start(&self) {
        self.start_with(&[]);
    }

    /// The same with more arguments.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_with(&self, more: &[&str]) {
        self.ok(&[&["up", "--detach", "--doors", "ephemeral"], more].concat());
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A directory for the test's own files.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.directory.path()
    }

    /// The program with the given words, for this cloud.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words).env("KOGGE_DATA", self.data()).env_remove("KOGGE_API").stdin(Stdio::null());
        // Not in somebody's checkout: `create` adds a git remote where it finds one.
        command.current_dir(self.directory.path());
        command
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// When the program cannot be run.
    #[must_use]
    pub fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("the program can be run")
    }

    /// Runs a command that must succeed; gives its standard output.
    ///
    /// # Panics
    /// When it fails.
    pub fn ok(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "kogge {} failed\n{out}{err}\n{}", words.join(" "), self.log());
        out
    }

    /// Runs a command that must fail; gives its standard error.
    ///
    /// # Panics
    /// When it succeeds.
    #[must_use]
    pub fn fails(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(!output.status.success(), "kogge {} succeeded: {}", words.join(" "), text(&output.stdout));
        text(&output.stderr)
    }

    /// Runs a command with `--output json`.
    ///
    /// # Panics
    /// When it fails or prints no JSON.
    #[must_use]
    pub fn json(&self, words: &[&str]) -> Value {
        let mut words = words.to_vec();
        words.extend(["--output", "json"]);
        serde_json::from_str(&self.ok(&words)).expect("JSON on standard output")
    }

    /// What the cloud's process said.
    #[must_use]
    pub fn log(&self) -> String {
        let log = std::fs::read_to_string(self.data().join("kogge.log")).unwrap_or_default();
        let tail = log.char_indices().rev().nth(6_000).map_or(0, |(at, _)| at);
        log[tail..].to_owned()
    }

    /// The instances of a service, as `ps` lists them.
    #[must_use]
    pub fn instances(&self, service: &str) -> Vec<Value> {
        let all = self.json(&["ps"]);
        let list = all.as_array().cloned().unwrap_or_default();
        list.into_iter().filter(|instance| instance["service"] == service).collect()
    }

    /// Waits until `count` instances of a service are healthy, and none is otherwise.
    pub fn healthy(&self, service: &str, count: usize) -> Vec<Value> {
        wait::until(&format!("{count} healthy instances of {service}"), PATIENCE, || {
            let instances = self.instances(service);
            let healthy = instances.iter().filter(|instance| instance["healthy"] == true).count();
            (healthy == count && instances.len() == count).then_some(instances)
        })
    }

    /// The process of the cloud.
    ///
    /// # Panics
    /// When the cloud does not answer.
    #[must_use]
    pub fn pid(&self) -> u32 {
        let pid = self.json(&["status"])["pid"].as_u64().expect("a pid");
        u32::try_from(pid).expect("a pid fits")
    }

    /// Host and port of a door: `api`, `router_http`.
    ///
    /// # Panics
    /// When there is no such door.
    #[must_use]
    pub fn door(&self, name: &str) -> String {
        let doors = self.json(&["doors"]);
        let url = doors[name].as_str().unwrap_or_else(|| panic!("no door {name} among {doors}"));
        url.trim_start_matches("http://").trim_end_matches('/').to_owned()
    }

    /// `GET path` of a host, through the router.
    ///
    /// # Errors
    /// When the router cannot be reached or cuts the connection.
    pub fn get(&self, host: &str, path: &str) -> std::io::Result<Answer> {
        get(&self.door("router_http"), host, path)
    }

    /// Loads a small image with a shell and the usual tools, under `name`.
    pub fn load_busybox(&self, name: &str) {
        let archive = self.directory.path().join("busybox.tar");
        if !archive.exists() {
            image::busybox(&archive);
        }
        let archive = archive.to_string_lossy().into_owned();
        self.ok(&["image", "load", &archive, "--name", name]);
    }

    /// Takes the cloud down and checks that nothing is left of it.
    ///
    /// # Panics
    /// When something is left behind.
    pub fn down(mut self) {
        self.is_down = true;
        self.ok(&["down"]);
        let left = remains::of(&self.data());
        assert!(left.is_empty(), "left behind after `kogge down`: {left:#?}");
    }
}

impl Drop for CloudUnderTest {
    /// A test that failed leaves nothing running either.
    fn drop(&mut self) {
        if self.is_down {
            return;
        }
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "{}", self.log());
        }
        if !self.run(&["down"]).status.success() {
            // Its process may have been killed by the test: a new one takes over what it left.
            let _ = self.run(&["up", "--detach", "--doors", "ephemeral"]);
            let _ = self.run(&["down"]);
        }
        remains::clear(&self.data());
    }
}

/// One request on a connection of its own.
///
/// # Errors
/// When the connection fails.
pub fn get(door: &str, host: &str, path: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(door)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = text(&bytes);
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other(format!("no answer but {text:?}")))?;
    Ok(Answer { status, text })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
