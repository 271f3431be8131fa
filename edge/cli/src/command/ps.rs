//! `kogge ps`

use std::io;

use kogge_model::view::{InstanceView, PortView};

use crate::args::PsArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Page, Show};
use crate::table::{self, or_dash};
use crate::time;

pub(crate) async fn run(context: &mut Context, args: &PsArgs) -> Result<(), Failure> {
    let instances = context.client()?.instances(args.name.as_deref(), args.all).await?;
    if instances.is_empty() {
        context.say("nothing runs");
    }
    context.print(instances.as_slice())
}

impl Show for [InstanceView] {
    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let now = page.now;
        let rows = self.iter().map(|instance| {
            let health = if instance.healthy { "yes" } else { "no" };
            let ports: Vec<String> = instance.ports.iter().map(port).collect();
            [
                instance.instance.clone(),
                state(instance),
                or_dash(instance.agent.as_ref()),
                health.to_owned(),
                or_dash(instance.pid),
                ports.join(" "),
                or_dash(instance.image.as_ref()),
                or_dash(instance.started_at.map(|at| time::ago(at, now))),
                instance.restarts.to_string(),
                or_dash(instance.reason.as_ref()),
            ]
        });
        let header = [
            "INSTANCE", "STATE", "AGENT", "HEALTHY", "PID", "PORTS", "IMAGE", "STARTED", "RESTARTS", "REASON",
        ];
        table::write(page.out, header, rows)
    }
}

fn state(instance: &InstanceView) -> String {
    let single = if instance.lease_ms.is_some() { " (single)" } else { "" };
    format!("{}{single}", instance.state)
}

fn port(port: &PortView) -> String {
    format!("{}→{}", port.host_port, port.container_port)
}

#[cfg(test)]
mod tests {
    use kogge_model::time::Timestamp;

    use super::*;

    #[test]
    fn one_row_an_instance() {
        let running = InstanceView {
            service: "hello".into(),
            instance: "hello.1".into(),
            task: "hello-1-x".into(),
            state: "running".into(),
            healthy: true,
            agent: Some("here".into()),
            pid: Some(4711),
            ports: vec![PortView { host_port: 31_000, container_port: 80, url: None }],
            image: Some("hello:latest".into()),
            started_at: Some(Timestamp::from_secs(1_000).into()),
            ended_at: None,
            restarts: 2,
            lease_ms: None,
            reason: None,
            hint: None,
        };
        let failed = InstanceView {
            instance: "hello.2".into(),
            state: "failed".into(),
            healthy: false,
            pid: None,
            ports: Vec::new(),
            image: None,
            started_at: None,
            reason: Some("exit code 1\nand more".into()),
            ..running.clone()
        };
        let single = InstanceView { instance: "ledger.1".into(), lease_ms: Some(20_000), ..running.clone() };
        let mut out = Vec::new();
        [running, failed, single]
            .show(&mut Page { out: &mut out, now: Timestamp::from_secs(1_090) })
            .unwrap();
        insta::with_settings!({ snapshot_path => "../../tests/golden" }, {
            insta::assert_snapshot!("ps", String::from_utf8(out).unwrap());
        });
    }
}
