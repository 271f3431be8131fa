//! What one can do with running tasks: reach them, look at them, run programs in them.

use std::time::{Duration, Instant};

use kogge_model::port::Port;
use kogge_model::resources::Bytes;
use kogge_model::task::Exit;
use kogge_model::template::PortSpec;
use kogge_model::view::exec::{ExecInput, ExecOutput, ExecRequest};
use kogge_shim::protocol::LimitChange;
use tokio::io::AsyncReadExt as _;

use crate::cloud::{Place, eventually, with};

#[tokio::test]
async fn a_published_port_leads_to_the_task_and_is_free_again_for_the_next() {
    let place = Place::new();
    let cloud = place.start().await;
    let port = crate::cloud::port();
    for name in ["first", "second"] {
        let line = format!("while :; do echo {name} | nc -l -p 7000; done");
        let wish = with(cloud.shell(name, &line), |template| {
            template.ports = vec![PortSpec { container_port: Port::new(7000), host_port: Some(port) }];
        });
        let task = cloud.control.launch(wish);
        cloud.control.running(&task).await;
        eventually("it answers", async || {
            let Ok(mut stream) = tokio::net::TcpStream::connect(("127.0.0.1", port.get())).await else {
                return false;
            };
            let mut text = [0; 32];
            let reading = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut text)).await;
            reading.is_ok_and(|read| read.is_ok_and(|bytes| text[..bytes].starts_with(name.as_bytes())))
        })
        .await;
        cloud.control.kill(&task, 0);
        cloud.control.ended(&task).await;
    }
    cloud.end(&place).await;
}

#[tokio::test]
async fn programs_run_in_a_task_with_pipes_or_a_terminal() {
    let place = Place::new();
    let cloud = place.start().await;
    let task = cloud.control.launch(cloud.shell("host", "sleep 1000"));
    cloud.control.running(&task).await;

    let argv = ["/bin/sh", "-c", "cat; echo $EXTRA >&2; id -u; exit 7"].map(str::to_owned).to_vec();
    let request = ExecRequest {
        argv,
        is_interactive: true,
        env: vec!["EXTRA=more".to_owned()],
        user: Some("web".to_owned()),
        ..ExecRequest::default()
    };
    let mut session = cloud.agent.exec(&task, request).await.unwrap();
    session.input.send(ExecInput::Stdin(b"typed\n".to_vec())).await.unwrap();
    session.input.send(ExecInput::CloseStdin).await.unwrap();
    let (mut out, mut err, mut exit) = (String::new(), String::new(), None);
    while let Some(output) = session.output.recv().await {
        match output {
            ExecOutput::Stdout(bytes) => out.push_str(&String::from_utf8(bytes).unwrap()),
            ExecOutput::Stderr(bytes) => err.push_str(&String::from_utf8(bytes).unwrap()),
            ExecOutput::Exit(code) => exit = Some(code),
            ExecOutput::Failed(problem) => panic!("{problem:?}"),
        }
    }
    assert_eq!((out.as_str(), err.as_str(), exit), ("typed\n33\n", "more\n", Some(Exit::Code { code: 7 })));

    let argv = ["/bin/sh", "-c", "read x; echo got $x; exit 5"].map(str::to_owned).to_vec();
    let request = ExecRequest { argv, is_tty: true, is_interactive: true, ..ExecRequest::default() };
    let mut session = cloud.agent.exec(&task, request).await.unwrap();
    session.input.send(ExecInput::Resize { columns: 100, rows: 30 }).await.unwrap();
    session.input.send(ExecInput::Stdin(b"this\n".to_vec())).await.unwrap();
    let (mut out, mut exit) = (String::new(), None);
    while let Some(output) = session.output.recv().await {
        match output {
            ExecOutput::Stdout(bytes) => out.push_str(&String::from_utf8_lossy(&bytes)),
            ExecOutput::Exit(code) => exit = Some(code),
            other => panic!("{other:?}"),
        }
    }
    assert!(out.contains("got this") && exit == Some(Exit::Code { code: 5 }), "{out:?} {exit:?}");

    let stats = cloud.agent.stats(&task).await.unwrap();
    assert!(stats.pids >= 1 && stats.mem_bytes > 0, "{stats:?}");
    let change = LimitChange { mem_bytes: Some(Bytes::mib(48)), ..LimitChange::default() };
    cloud.agent.update_limits(&task, change).await.unwrap();
    assert_eq!(cloud.agent.stats(&task).await.unwrap().mem_limit_bytes, Bytes::mib(48).0);
    let namespace = cloud.agent.open_namespace("build-1").await.unwrap();
    assert!(namespace.exists() && cloud.agent.open_namespace("build-1").await.is_err());
    cloud.agent.close_namespace("build-1").await;
    assert!(!namespace.exists());
    let gone = cloud.agent.exec(&kogge_model::id::TaskId::new("../x"), ExecRequest::default()).await;
    assert!(gone.is_err_and(|reason| reason.text.contains("not known")));
    cloud.end(&place).await;
}

#[tokio::test]
async fn fifty_tasks_start_at_once() {
    let place = Place::new();
    let cloud = place.start().await;
    let began = Instant::now();
    let tasks: Vec<_> =
        (0..50).map(|n| cloud.control.launch(cloud.shell(&format!("many-{n}"), "sleep 1000"))).collect();
    for task in &tasks {
        cloud.control.running(task).await;
    }
    eprintln!("50 starts took {} ms", began.elapsed().as_millis());
    let one = Instant::now();
    let task = cloud.control.launch(cloud.shell("one", "sleep 1000"));
    cloud.control.running(&task).await;
    eprintln!("one more took {} ms", one.elapsed().as_millis());
    cloud.end(&place).await;
}
