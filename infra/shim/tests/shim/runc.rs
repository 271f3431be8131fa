//! The second engine does the same through the same shim.

use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use kogge_model::task::Exit;
use kogge_shim::client::null_stdio;
use kogge_shim::config::EngineKind;
use kogge_shim::protocol::{ExecRequest, WindowSize};

use crate::fixture::Fixture;

fn fixture(script: &str) -> Fixture {
    let mut fixture = Fixture::shell(script);
    fixture.config.engine = EngineKind::Runc { path: PathBuf::from("/usr/sbin/runc") };
    fixture
}

#[test]
fn runc_runs_a_task_with_the_same_results() {
    let fixture = fixture("grep Seccomp: /proc/self/status; ls /proc/self/fd; exit 6");
    let ended = fixture.run();
    assert_eq!(ended.exit, Exit::Code { code: 6 });
    assert_eq!(fixture.log(), "Seccomp:\t2\n0\n1\n2\n3\n");
}

#[test]
fn runc_joins_a_container_with_and_without_a_terminal() {
    let fixture = fixture("sleep 1000");
    let client = fixture.start();
    let args = ["sh", "-c", "grep Seccomp: /proc/self/status; exit 3"].map(str::to_owned).to_vec();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let [stdin, _, stderr] = null_stdio().unwrap();
    let request = ExecRequest { args: args.clone(), ..ExecRequest::default() };
    let mut exec =
        fixture.block_on(client.exec(request, Some([stdin, OwnedFd::from(writer), stderr]))).unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(
        (fixture.block_on(exec.wait()).unwrap(), text.as_str()),
        (Exit::Code { code: 3 }, "Seccomp:\t2\n")
    );
    let terminal = Some(WindowSize { rows: 24, columns: 80 });
    let request = ExecRequest { args, terminal, ..ExecRequest::default() };
    let mut exec = fixture.block_on(client.exec(request, None)).unwrap();
    // Closing it would hang up on the program.
    let terminal = exec.take_terminal();
    assert!(terminal.is_some());
    assert_eq!(fixture.block_on(exec.wait()).unwrap(), Exit::Code { code: 3 });
}

#[test]
fn a_failure_of_runc_says_what_it_said() {
    let mut fixture = fixture("true");
    fixture.spec["process"]["args"] = serde_json::json!(["/bin/nothing"]);
    let text = fixture.try_start().unwrap_err().to_string();
    assert!(text.contains("runc create failed") && text.contains("no such file"), "{text}");
}
