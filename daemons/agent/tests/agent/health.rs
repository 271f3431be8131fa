//! Health checks against real tasks.

use std::time::Duration;

use kogge_model::health::{Health, HealthCheck, Probe};
use kogge_model::port::Port;
use kogge_model::task::{TaskSpec, TaskState, TaskStatus};
use kogge_model::template::{NetworkMode, PortSpec};
use kogge_model::view::exec::{ExecOutput, ExecRequest};

use crate::cloud::{Cloud, Place, with};

fn health(status: &TaskStatus) -> Option<&Health> {
    match &status.state {
        TaskState::Running(running) => Some(&running.health),
        _ => None,
    }
}

fn is_healthy(status: &TaskStatus) -> bool {
    health(status).is_some_and(Health::is_healthy)
}

fn check(probe: Probe) -> HealthCheck {
    HealthCheck { interval_ms: 200, timeout_ms: 1_000, ..HealthCheck::new(probe) }
}

fn server(cloud: &Cloud, name: &str, probe: Probe) -> TaskSpec {
    with(cloud.shell(name, "exec httpd -f -p $PORT -h /www"), |template| {
        template.ports = vec![PortSpec { container_port: Port::new(8080), host_port: None }];
        template.health = Some(check(probe));
    })
}

async fn run_inside(cloud: &Cloud, task: &kogge_model::id::TaskId, line: &str) {
    let argv = ["/bin/sh", "-c", line].map(str::to_owned).to_vec();
    let mut session = cloud.agent.exec(task, ExecRequest { argv, ..ExecRequest::default() }).await.unwrap();
    let mut last = None;
    while let Some(output) = session.output.recv().await {
        last = Some(output);
    }
    assert_eq!(last, Some(ExecOutput::Exit(kogge_model::task::Exit::Code { code: 0 })));
}

#[tokio::test]
async fn a_server_becomes_healthy_unhealthy_and_healthy_again() {
    let place = Place::new();
    let cloud = place.start().await;
    let task = cloud.control.launch(server(&cloud, "web", Probe::Http { path: "/up".to_owned(), port: 0 }));
    let status = cloud.control.until(&task, is_healthy).await;
    let TaskState::Running(running) = &status.state else { panic!("{status:?}") };
    assert!(status.at.saturating_since(running.started_at) < Duration::from_secs(5));
    run_inside(&cloud, &task, "rm /www/up").await;
    let worst = |status: &TaskStatus| matches!(health(status), Some(Health::Unhealthy { failures: 3, .. }));
    let status = cloud.control.until(&task, worst).await;
    assert!(status.reason.text.contains("status 404"), "{}", status.reason);
    run_inside(&cloud, &task, "echo back > /www/up").await;
    cloud.control.until(&task, is_healthy).await;
    cloud.end(&place).await;
}

#[tokio::test]
async fn ports_and_commands_can_be_asked_too_on_either_network() {
    let place = Place::new();
    let cloud = place.start().await;
    let tcp = cloud.control.launch(server(&cloud, "tcp", Probe::Tcp { port: 0 }));
    let argv = ["/bin/cat", "/www/up"].map(str::to_owned).to_vec();
    let command = cloud.control.launch(server(&cloud, "command", Probe::Command { argv }));
    let on_host =
        with(server(&cloud, "on-host", Probe::Http { path: "/up".to_owned(), port: 0 }), |template| {
            template.network = NetworkMode::Host;
            template.ports = vec![PortSpec { container_port: None, host_port: None }];
        });
    let on_host = cloud.control.launch(on_host);
    for task in [&tcp, &command, &on_host] {
        cloud.control.until(task, is_healthy).await;
    }
    cloud.end(&place).await;
}
