//! More processes in a running container.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use kogge_model::task::Exit;
use kogge_shim::client::{ClientError, null_stdio, resize_terminal};
use kogge_shim::protocol::{ExecRequest, Fault, KillScope, User, WindowSize};

use crate::fixture::{Fixture, wait_until};

fn request(args: &[&str]) -> ExecRequest {
    ExecRequest { args: args.iter().map(|arg| (*arg).to_owned()).collect(), ..ExecRequest::default() }
}

/// Runs `request` to its end with its output in one pipe.
fn output(fixture: &Fixture, client: &kogge_shim::client::Client, request: ExecRequest) -> (Exit, String) {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let [stdin, _, _] = null_stdio().unwrap();
    let stdio = [stdin, OwnedFd::from(writer.try_clone().unwrap()), OwnedFd::from(writer)];
    let mut exec = fixture.block_on(client.exec(request, Some(stdio))).unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    (fixture.block_on(exec.wait()).unwrap(), text)
}

#[test]
fn an_exec_has_its_own_output_exit_code_and_environment() {
    let fixture = Fixture::new(&["sleep", "1000"]);
    let client = fixture.start();
    let mut asked = request(&["sh", "-c", "echo $GREETING $MORE; pwd; exit 3"]);
    asked.env = vec!["MORE=there".to_owned()];
    asked.cwd = Some("/tmp".into());
    assert_eq!(output(&fixture, &client, asked), (Exit::Code { code: 3 }, "hello there\n/tmp\n".to_owned()));
    let (exit, own) = output(&fixture, &client, request(&["readlink", "/proc/self/ns/pid"]));
    let (_, first) = output(&fixture, &client, request(&["readlink", "/proc/1/ns/pid"]));
    assert_eq!((exit, own), (Exit::Code { code: 0 }, first));
}

#[test]
fn an_exec_is_confined_like_the_first_process() {
    let script = "grep -E '^(Seccomp|NoNewPrivs|CapBnd|CapEff|CapPrm|CapInh|CapAmb|Groups|Uid):' /proc/self/status; \
        grep 'open files' /proc/self/limits; ls /proc/self/fd | wc -l";
    let fixture = Fixture::shell(&format!("{script}; echo done; sleep 1000"));
    let client = fixture.start();
    fixture.wait_for_log("done");
    let (exit, text) = output(&fixture, &client, request(&["sh", "-c", script]));
    assert_eq!(exit, Exit::Code { code: 0 });
    for line in ["Seccomp:\t2", "NoNewPrivs:\t1", "CapEff:\t00000000000000e1", "CapBnd:\t00000000000000e1"] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
    assert_eq!(format!("{text}done\n"), fixture.log());
    // The profile forbids unshare, which would need no capability in a new user namespace.
    let (exit, text) = output(&fixture, &client, request(&["unshare", "-U", "true"]));
    assert_ne!(exit, Exit::Code { code: 0 }, "{text}");
    let mut user = request(&["id"]);
    user.user = Some(User { uid: 1000, gid: 1000, additional_gids: vec![7] });
    let (_, text) = output(&fixture, &client, user);
    assert!(text.starts_with("uid=1000(app) gid=1000") && text.contains("groups=7"), "{text}");
}

#[test]
fn an_exec_with_a_terminal_has_a_size_that_changes_and_an_exit_code() {
    let fixture = Fixture::new(&["sleep", "1000"]);
    let client = fixture.start();
    let script = "stty size; grep Seccomp: /proc/self/status; trap 'stty size; exit 4' WINCH; echo ready; \
        while :; do sleep 0.01; done";
    let mut asked = request(&["sh", "-c", script]);
    asked.terminal = Some(WindowSize { rows: 33, columns: 101 });
    let mut exec = fixture.block_on(client.exec(asked, None)).unwrap();
    let mut terminal = File::from(exec.take_terminal().unwrap());
    let mut text = String::new();
    let mut buffer = [0; 512];
    while !text.contains("ready") {
        let bytes = terminal.read(&mut buffer).unwrap();
        text.push_str(std::str::from_utf8(&buffer[..bytes]).unwrap());
    }
    assert!(text.contains("33 101") && text.contains("Seccomp:\t2"), "{text}");
    resize_terminal(&terminal, WindowSize { rows: 20, columns: 50 }).unwrap();
    assert_eq!(fixture.block_on(exec.wait()).unwrap(), Exit::Code { code: 4 });
    // The end of a terminal is an error (EIO) once everything is read.
    while let Ok(bytes @ 1..) = terminal.read(&mut buffer) {
        text.push_str(std::str::from_utf8(&buffer[..bytes]).unwrap());
    }
    assert!(text.contains("20 50"), "{text}");
}

#[test]
fn what_is_typed_into_a_terminal_arrives() {
    let fixture = Fixture::new(&["sleep", "1000"]);
    let client = fixture.start();
    let mut asked = request(&["sh"]);
    asked.terminal = Some(WindowSize { rows: 24, columns: 80 });
    let mut exec = fixture.block_on(client.exec(asked, None)).unwrap();
    let mut terminal = File::from(exec.take_terminal().unwrap());
    terminal.write_all(b"exit $((40 + 2))\n").unwrap();
    assert_eq!(fixture.block_on(exec.wait()).unwrap(), Exit::Code { code: 42 });
}

#[test]
fn an_exec_that_cannot_be_run_is_refused_and_the_task_lives_on() {
    let fixture = Fixture::new(&["sleep", "1000"]);
    let client = fixture.start();
    let refused =
        fixture.block_on(client.exec(request(&["nothing"]), Some(null_stdio().unwrap()))).unwrap_err();
    let ClientError::Refused(failure) = refused else { panic!("{refused:?}") };
    assert!(failure.text.contains("cannot run nothing"), "{failure:?}");
    let refused = fixture.block_on(client.exec(request(&["true"]), None)).unwrap_err();
    assert!(matches!(refused, ClientError::Refused(failure) if failure.kind == Fault::BadRequest));
    assert!(!fixture.block_on(client.ping()).unwrap().has_ended);
}

#[test]
fn an_exec_can_be_killed_by_its_id_and_dies_with_its_client() {
    let fixture = Fixture::new(&["sleep", "1000"]);
    let client = fixture.start();
    let start =
        || fixture.block_on(client.exec(request(&["sleep", "999"]), Some(null_stdio().unwrap()))).unwrap();
    let mut exec = start();
    fixture.block_on(client.kill(9, KillScope::Exec(exec.started().exec))).unwrap();
    assert_eq!(fixture.block_on(exec.wait()).unwrap(), Exit::Signal { signal: 9 });
    let left = start();
    let pid = left.started().pid;
    drop(left);
    wait_until("end of the abandoned exec", || !std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn execs_of_a_task_that_ends_end_with_it() {
    let fixture = Fixture::shell("read line; exit 0");
    let mut fixture = fixture;
    fixture.spec["process"]["args"] =
        serde_json::json!(["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.01; done"]);
    let client = fixture.start();
    let mut exec =
        fixture.block_on(client.exec(request(&["sleep", "999"]), Some(null_stdio().unwrap()))).unwrap();
    fixture.block_on(client.kill(9, KillScope::Init)).unwrap();
    assert_eq!(fixture.block_on(exec.wait()).unwrap(), Exit::Signal { signal: 9 });
    fixture.block_on(client.wait()).unwrap();
}
