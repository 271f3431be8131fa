//! What a container is made of: a task's spec and its image's own words, brought together. Pure.

use std::path::PathBuf;

use kogge_containers::bundle::{ContainerSpec, ExtraMount, NOBODY, NetworkPlace, RootFiles, TaskLimits};
use kogge_containers::image::{ImageConfig, ResolvedUser};
use kogge_model::id::RunId;
use kogge_model::task::TaskSpec;
use kogge_model::template::{Command, Limits, NetworkMode};

/// What is known of a container before its spec is made.
pub(crate) struct Parts<'a> {
    pub(crate) run: RunId,
    pub(crate) spec: &'a TaskSpec,
    /// None for a command on the machine's own files.
    pub(crate) image: Option<&'a ImageConfig>,
    pub(crate) user: ResolvedUser,
    pub(crate) root: RootFiles,
    pub(crate) network: NetworkPlace,
    pub(crate) mounts: Vec<ExtraMount>,
    /// The parent of all cgroups of this cloud.
    pub(crate) cgroup_parent: PathBuf,
    /// What the machine can allow at most, whatever the spec says.
    pub(crate) most_open_files: u32,
    /// The agent's name.
    pub(crate) agent: &'a str,
}

impl Parts<'_> {
    /// The container's spec.
    pub(crate) fn container(self) -> ContainerSpec {
        let template = &self.spec.template;
        ContainerSpec {
            argv: self.argv(),
            env: self.env(),
            cwd: self.image.and_then(|image| image.working_dir.as_ref()).map(PathBuf::from),
            hostname: hostname(self.spec),
            limits: limits(&template.limits, self.most_open_files),
            cgroup: self.cgroup_parent.join(self.spec.task.as_str()),
            user: self.user,
            root: self.root,
            network: self.network,
            mounts: self.mounts,
        }
    }

    /// The task's own command takes the place of the image's, entry point included.
    fn argv(&self) -> Vec<String> {
        match &self.spec.template.command {
            Some(Command::Exec(argv)) => argv.clone(),
            Some(Command::Shell(line)) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
            None => self.image.map(ImageConfig::default_argv).unwrap_or_default(),
        }
    }

    /// The image's, then the ports, then the template's, then the task's, then what nobody may change; of two with
    /// one name the last counts. With the host network the ports come late: no other port would do.
    fn env(&self) -> Vec<String> {
        let template = &self.spec.template;
        let pair = |(key, value): (&str, &str)| format!("{key}={value}");
        let is_host = template.network == NetworkMode::Host;
        let ports = ports(self.spec);
        let mut env: Vec<String> = self.image.map(|image| image.env.clone()).unwrap_or_default();
        env.extend(ports.iter().filter(|_| !is_host).cloned());
        env.extend(template.env.iter().map(|(key, value)| pair((key, value))));
        env.extend(self.spec.env.iter().map(pair));
        env.extend(ports.into_iter().filter(|_| is_host));
        env.push(format!("KOGGE_TASK={}", self.spec.task));
        env.push(format!("KOGGE_AGENT={}", self.agent));
        env.push(format!("KOGGE_FENCE={}", self.run));
        if let Some(instance) = &self.spec.instance {
            env.push(format!("KOGGE_SERVICE={}", instance.service));
            env.push(format!("KOGGE_INSTANCE={}", instance.number));
        }
        env
    }
}

/// `PORT` and `PORT0` are the first, `PORT1` the second; on the bridge the container's own, else the host's.
fn ports(spec: &TaskSpec) -> Vec<String> {
    let number = |index: usize| {
        let binding = &spec.ports[index];
        match spec.template.network {
            NetworkMode::Bridge => binding.container_port,
            NetworkMode::Host => binding.host_port,
        }
    };
    let numbered = (0..spec.ports.len()).map(|index| format!("PORT{index}={}", number(index)));
    let first = spec.ports.first().map(|_| format!("PORT={}", number(0)));
    first.into_iter().chain(numbered).collect()
}

/// The instance's name as a host name: `shop-2`; the task's id for others.
pub(crate) fn hostname(spec: &TaskSpec) -> String {
    let name = match &spec.instance {
        Some(instance) => format!("{}-{}", instance.service.label(), instance.number),
        None => spec.task.as_str().replace('.', "-"),
    };
    // The kernel's bound is 64.
    let short: String = name.chars().take(63).collect();
    short.trim_matches('-').to_owned()
}

/// As whom a command without an image runs, unless its spec names somebody.
pub(crate) fn nobody() -> ResolvedUser {
    ResolvedUser { uid: NOBODY, gid: NOBODY, additional_gids: Vec::new(), home: None }
}

fn limits(limits: &Limits, most_open_files: u32) -> TaskLimits {
    TaskLimits {
        cpu_millis: limits.cpu_millis.0,
        mem_bytes: limits.mem_bytes.0,
        swap_bytes: 0,
        pids: limits.pids,
        open_files: limits.open_files.min(most_open_files),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use kogge_model::id::TaskId;
    use kogge_model::port::Port;
    use kogge_model::resources::Resources;
    use kogge_model::task::PortBinding;
    use kogge_model::template::TaskTemplate;

    use super::*;

    fn spec(template: TaskTemplate) -> TaskSpec {
        let port = |number| Port::new(number).unwrap();
        TaskSpec {
            task: TaskId::new("shop.2-9"),
            instance: Some("shop.2".parse().unwrap()),
            template: Arc::new(template),
            resources: Resources::default(),
            ports: vec![
                PortBinding { host_port: port(31_000), container_port: port(80) },
                PortBinding { host_port: port(31_001), container_port: port(81) },
            ],
            env: [("B".into(), "task".into())].into_iter().collect(),
        }
    }

    fn container(template: TaskTemplate, image: Option<&ImageConfig>) -> ContainerSpec {
        let spec = spec(template);
        let root = RootFiles::Image { rootfs: "/r".into(), is_read_only: false };
        Parts {
            run: RunId(9),
            spec: &spec,
            image,
            user: nobody(),
            root,
            network: NetworkPlace::Host,
            mounts: Vec::new(),
            cgroup_parent: "/kogge-t".into(),
            most_open_files: 1_000,
            agent: "m1",
        }
        .container()
    }

    fn last<'a>(container: &'a ContainerSpec, key: &str) -> Option<&'a str> {
        let prefix = format!("{key}=");
        container.env.iter().rev().find_map(|entry| entry.strip_prefix(prefix.as_str()))
    }

    #[test]
    fn the_task_s_command_replaces_the_image_s_entry_point_too() {
        let image = ImageConfig {
            entrypoint: vec!["/entry".into()],
            cmd: vec!["serve".into()],
            working_dir: Some("/app".into()),
            ..ImageConfig::default()
        };
        assert_eq!(container(TaskTemplate::default(), Some(&image)).argv, ["/entry", "serve"]);
        let command = Some(Command::Shell("exec it".into()));
        let shell = container(TaskTemplate { command, ..TaskTemplate::default() }, Some(&image));
        assert_eq!(shell.argv, ["/bin/sh", "-c", "exec it"]);
        assert_eq!((shell.cwd, shell.hostname.as_str()), (Some("/app".into()), "shop-2"));
        assert_eq!(shell.limits.open_files, 1_000);
        assert_eq!(shell.cgroup, PathBuf::from("/kogge-t/shop.2-9"));
    }

    #[test]
    fn the_nearer_environment_wins_but_ports_of_the_host_and_our_own_names_stand() {
        let image = ImageConfig { env: vec!["A=image".into(), "B=image".into()], ..ImageConfig::default() };
        let env = BTreeMap::from([
            ("B".into(), "template".into()),
            ("PORT".into(), "8080".into()),
            ("KOGGE_FENCE".into(), "1".into()),
        ]);
        let template = TaskTemplate { env, ..TaskTemplate::default() };
        let bridge = container(template.clone(), Some(&image));
        for (key, value) in [
            ("A", "image"),
            ("B", "task"),
            ("PORT", "8080"),
            ("PORT1", "81"),
            ("KOGGE_FENCE", "9"),
            ("KOGGE_INSTANCE", "2"),
        ] {
            assert_eq!(last(&bridge, key), Some(value), "{key}");
        }
        let host = container(TaskTemplate { network: NetworkMode::Host, ..template }, None);
        assert_eq!((last(&host, "PORT"), last(&host, "PORT1")), (Some("31000"), Some("31001")));
    }
}
