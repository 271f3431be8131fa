//! What an agent is told to run for an instance: its template, its ports and its environment.

use std::sync::Arc;

use kogge_model::attribute::Attributes;
use kogge_model::id::{AgentId, TaskId};
use kogge_model::name::{AppId, InstanceId, ServiceId};
use kogge_model::port::Port;
use kogge_model::resources::Resources;
use kogge_model::task::{PortBinding, TaskSpec};
use kogge_model::template::{NetworkMode, TaskTemplate};
use kogge_model::variables::Variables;

/// Where and as what an instance is launched.
pub(crate) struct Launch<'a> {
    pub(crate) task: TaskId,
    pub(crate) instance: &'a InstanceId,
    /// What people call its service.
    pub(crate) service: &'a str,
    pub(crate) template: &'a Arc<TaskTemplate>,
    pub(crate) agent: &'a AgentId,
    pub(crate) attributes: &'a Attributes,
    /// One for each of the template's ports.
    pub(crate) host_ports: &'a [Port],
}

pub(crate) fn task_spec(launch: &Launch<'_>) -> TaskSpec {
    let template = launch.template;
    let ports = bindings(template, launch.host_ports);
    let limits = &template.limits;
    TaskSpec {
        task: launch.task.clone(),
        instance: Some(launch.instance.clone()),
        template: Arc::clone(template),
        resources: Resources {
            cpu_millis: limits.cpu_millis,
            mem_bytes: limits.mem_bytes,
            disk_bytes: limits.disk_bytes,
            ports: launch.host_ports.iter().copied().collect(),
        },
        env: environment(launch, &ports),
        ports,
    }
}

fn bindings(template: &TaskTemplate, host_ports: &[Port]) -> Vec<PortBinding> {
    assert_eq!(template.ports.len(), host_ports.len(), "each port of the template got a host port");
    let pairs = template.ports.iter().zip(host_ports);
    let binding = |(spec, &host_port): (&kogge_model::template::PortSpec, &Port)| PortBinding {
        host_port,
        container_port: match template.network {
            NetworkMode::Bridge => spec.container_port.unwrap_or(host_port),
            NetworkMode::Host => host_port,
        },
    };
    pairs.map(binding).collect()
}

/// Who it is and where it listens. What the template sets itself about ports and host stays as it set it.
fn environment(launch: &Launch<'_>, ports: &[PortBinding]) -> Variables {
    let own = &launch.template.env;
    let ServiceId { app: AppId { environment, app }, .. } = &launch.instance.service;
    let hostname = launch.attributes.get("hostname").map_or(launch.agent.as_str(), String::as_str);
    // Gathered in order, mostly, so that there is little to sort.
    let mut env = Vec::with_capacity(7 + 2 * ports.len());
    let host = || ("HOST".to_owned(), hostname.to_owned());
    env.extend((!own.contains_key("HOST")).then(host));
    for (key, value) in [
        ("KOGGE_APP", app.as_str().to_owned()),
        ("KOGGE_ENVIRONMENT", environment.as_str().to_owned()),
        ("KOGGE_INSTANCE", format!("{}.{}", launch.service, launch.instance.number)),
        ("KOGGE_SERVICE", launch.service.to_owned()),
        ("KOGGE_TASK", launch.task.as_str().to_owned()),
    ] {
        env.push((key.to_owned(), value));
    }
    for (i, port) in ports.iter().enumerate() {
        let listens_on = port.container_port.get().to_string();
        let named = launch.template.ports[i].container_port.unwrap_or(port.host_port);
        let settings = [
            (i == 0).then(|| ("PORT".to_owned(), listens_on.clone())),
            Some((format!("PORT_{named}"), port.host_port.get().to_string())),
            Some((format!("PORT{i}"), listens_on)),
        ];
        env.extend(settings.into_iter().flatten().filter(|(key, _)| !own.contains_key(key)));
    }
    env.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use kogge_model::template::PortSpec;

    use super::*;

    fn env(network: NetworkMode, own: &[(&str, &str)]) -> String {
        let port = |n| Port::new(n).unwrap();
        let template = Arc::new(TaskTemplate {
            network,
            ports: vec![
                PortSpec { container_port: Some(port(8080)), host_port: None },
                PortSpec { container_port: Some(port(9090)), host_port: None },
            ],
            env: own.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            ..TaskTemplate::default()
        });
        let spec = task_spec(&Launch {
            task: TaskId::new("shop.2-abcdefgh"),
            instance: &"shop.2".parse().unwrap(),
            service: "shop",
            template: &template,
            agent: &AgentId::new("a1"),
            attributes: &[("hostname".to_owned(), "oak".to_owned())].into(),
            host_ports: &[port(31_000), port(31_001)],
        });
        assert!(spec.ports.iter().all(|binding| spec.resources.ports.contains(binding.host_port)));
        spec.env.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
    }

    #[test]
    fn on_the_bridge_it_listens_on_the_containers_ports() {
        insta::assert_snapshot!(env(NetworkMode::Bridge, &[]), @r"
        HOST=oak
        KOGGE_APP=shop
        KOGGE_ENVIRONMENT=prod
        KOGGE_INSTANCE=shop.2
        KOGGE_SERVICE=shop
        KOGGE_TASK=shop.2-abcdefgh
        PORT=8080
        PORT0=8080
        PORT1=9090
        PORT_8080=31000
        PORT_9090=31001
        ");
    }

    #[test]
    fn on_the_hosts_network_it_listens_on_host_ports_and_its_own_settings_stay() {
        insta::assert_snapshot!(env(NetworkMode::Host, &[("PORT", "1"), ("KOGGE_APP", "x")]), @r"
        HOST=oak
        KOGGE_APP=shop
        KOGGE_ENVIRONMENT=prod
        KOGGE_INSTANCE=shop.2
        KOGGE_SERVICE=shop
        KOGGE_TASK=shop.2-abcdefgh
        PORT0=31000
        PORT1=31001
        PORT_8080=31000
        PORT_9090=31001
        ");
    }
}
