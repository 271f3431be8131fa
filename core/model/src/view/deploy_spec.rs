//! From what people ask for to a service spec: what is left out stays, or takes the default.

use super::deploy::{DeployRequest, HealthRequest};
use crate::attribute::Constraint;
use crate::fault::{Fault, Faults};
use crate::health::{HealthCheck, Probe};
use crate::image::ImageRef;
use crate::lease::DEFAULT_LEASE_MS;
use crate::name::ServiceId;
use crate::port::Port;
use crate::resources::{Bytes, CpuMillis};
use crate::service::{RouteSpec, ServiceSpec};
use crate::template::{Command, NetworkMode, PortSpec, TaskTemplate};

impl DeployRequest {
    /// The service that is meant: the name that was given, else the last segment of the image's.
    ///
    /// # Errors
    /// When there is no name, or it breaks the rule of names.
    pub fn service_id(&self) -> Result<ServiceId, Faults> {
        let fault = |rule: String| Faults(vec![Fault { field: "name".to_owned(), rule }]);
        if let Some(name) = &self.name {
            return name.parse().map_err(|error| fault(format!("{error}")));
        }
        let Some(image) = &self.image else {
            return Err(fault("is needed when there is no image to take it from".to_owned()));
        };
        let last = image.rsplit('/').next().unwrap_or(image);
        let bare = last.split(['@', ':']).next().unwrap_or(last);
        bare.parse().map_err(|_| fault(format!("cannot be made from the image's name {image:?}: give one")))
    }

    /// The spec this asks for, on top of the service as it stands; `image` is what the image's name stands for now.
    ///
    /// # Errors
    /// All faults of the request and of the spec it would make.
    pub fn onto(
        &self,
        standing: Option<&ServiceSpec>,
        image: Option<ImageRef>,
    ) -> Result<ServiceSpec, Faults> {
        let mut faults = Faults::default();
        let new = || ServiceSpec { instances: 1, ..ServiceSpec::default() };
        let mut spec = standing.cloned().unwrap_or_else(new);
        spec.is_stopped = false;
        set(&mut spec.instances, self.instances);
        set(&mut spec.upgrade.min_healthy_percent, self.min_healthy_percent);
        set(&mut spec.upgrade.max_surge_percent, self.max_surge_percent);
        set(&mut spec.upgrade.deadline_ms, self.deadline_ms);
        set(&mut spec.upgrade.no_progress_ms, self.no_progress_ms);
        self.place(&mut spec, &mut faults);
        self.fence(&mut spec.template, &mut faults);
        self.run(&mut spec.template, image, &mut faults);
        self.listen(&mut spec.template, &mut faults);
        if let Some(health) = &self.health {
            health.onto(&mut spec.template.health, &mut faults);
        }
        if let Err(more) = spec.validate() {
            faults.0.extend(more.0);
        }
        faults.finish(spec)
    }

    fn fence(&self, template: &mut TaskTemplate, faults: &mut Faults) {
        match self.single {
            Some(true) => drop(template.lease_ms.get_or_insert(DEFAULT_LEASE_MS)),
            Some(false) => template.lease_ms = None,
            None => {}
        }
        match &mut template.lease_ms {
            Some(lease_ms) => set(lease_ms, self.lease_ms),
            None => faults.check(self.lease_ms.is_none(), "lease_ms", || {
                "is for a single copy only: ask for that too".to_owned()
            }),
        }
    }

    fn place(&self, spec: &mut ServiceSpec, faults: &mut Faults) {
        if let Some(texts) = &self.constraints {
            spec.constraints = Vec::new();
            for (i, text) in texts.iter().enumerate() {
                match text.parse::<Constraint>() {
                    Ok(constraint) => spec.constraints.push(constraint),
                    Err(rule) => faults.0.push(Fault { field: format!("constraints[{i}]"), rule }),
                }
            }
        }
        if let Some(hosts) = &self.hosts {
            let route =
                |host: &String| RouteSpec { host: Some(host.to_ascii_lowercase()), path: "/".to_owned() };
            spec.routes = hosts.iter().map(route).collect();
        }
    }

    fn run(&self, template: &mut TaskTemplate, image: Option<ImageRef>, faults: &mut Faults) {
        if image.is_some() {
            template.image = image;
        }
        faults.check(self.command.is_none() || self.argv.is_none(), "command", || {
            "cannot be given together with argv".to_owned()
        });
        if let Some(line) = &self.command {
            faults.check(!line.trim().is_empty(), "command", || "is empty".to_owned());
            template.command = Some(Command::Shell(line.clone()));
        } else if let Some(argv) = &self.argv {
            faults.check(!argv.is_empty(), "argv", || "is empty".to_owned());
            template.command = Some(Command::Exec(argv.clone()));
        }
        for (key, value) in &self.env {
            match value {
                Some(value) => template.env.insert(key.clone(), value.clone()),
                None => template.env.remove(key),
            };
        }
        let limits = &mut template.limits;
        set(&mut limits.cpu_millis, self.cpu_millis.map(CpuMillis));
        set(&mut limits.mem_bytes, self.mem_bytes.map(Bytes));
        set(&mut limits.disk_bytes, self.disk_bytes.map(Bytes));
        set(&mut limits.pids, self.pids);
        set(&mut template.is_root_read_only, self.is_root_read_only);
        set(&mut template.kill_grace_ms, self.kill_grace_ms);
        set(&mut template.drain_ms, self.drain_ms);
        if self.user.is_some() {
            template.user.clone_from(&self.user);
        }
    }

    fn listen(&self, template: &mut TaskTemplate, faults: &mut Faults) {
        match self.network.as_deref() {
            None => {}
            Some("bridge") => template.network = NetworkMode::Bridge,
            Some("host") => template.network = NetworkMode::Host,
            Some(other) => faults.check(false, "network", || format!("{other:?} is neither bridge nor host")),
        }
        let Some(ports) = &self.ports else { return };
        let spec = |number: &u16| match template.network {
            NetworkMode::Bridge => PortSpec { container_port: Port::new(*number), host_port: None },
            NetworkMode::Host => PortSpec { container_port: None, host_port: Port::new(*number) },
        };
        template.ports = ports.iter().map(spec).collect();
    }
}

impl HealthRequest {
    fn onto(&self, health: &mut Option<HealthCheck>, faults: &mut Faults) {
        match self.check.as_deref() {
            None => faults.check(health.is_some(), "health.check", || {
                "is needed: there is no check to change".to_owned()
            }),
            Some("none") => *health = None,
            Some(text) => match parse_probe(text) {
                Some(probe) => match health {
                    Some(check) => check.probe = probe,
                    None => *health = Some(HealthCheck::new(probe)),
                },
                None => faults.check(false, "health.check", || {
                    format!("{text:?} is no check: use /PATH, tcp, cmd:COMMAND or none")
                }),
            },
        }
        let Some(check) = health else { return };
        set(&mut check.grace_ms, self.grace_ms);
        set(&mut check.interval_ms, self.interval_ms);
        set(&mut check.timeout_ms, self.timeout_ms);
        if let Some(failures) = self.failures {
            check.failures_to_replace = failures;
            check.failures_to_leave = check.failures_to_leave.min(failures);
        }
    }
}

fn parse_probe(text: &str) -> Option<Probe> {
    if text.starts_with('/') {
        return Some(Probe::Http { path: text.to_owned(), port: 0 });
    }
    if text == "tcp" {
        return Some(Probe::Tcp { port: 0 });
    }
    let line = text.strip_prefix("cmd:").filter(|line| !line.trim().is_empty())?;
    Some(Probe::Command { argv: vec!["/bin/sh".to_owned(), "-c".to_owned(), line.to_owned()] })
}

/// A check as [`HealthRequest::check`] takes it.
#[must_use]
pub fn check_text(check: &HealthCheck) -> String {
    match &check.probe {
        Probe::Http { path, .. } => path.clone(),
        Probe::Tcp { .. } => "tcp".to_owned(),
        Probe::Command { argv } => match argv.as_slice() {
            [shell, flag, line] if shell == "/bin/sh" && flag == "-c" => format!("cmd:{line}"),
            argv => format!("cmd:{}", argv.join(" ")),
        },
    }
}

fn set<T>(field: &mut T, wish: Option<T>) {
    if let Some(wish) = wish {
        *field = wish;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn fields(faults: Faults) -> Vec<String> {
        faults.0.into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn the_name_comes_from_the_image_when_none_is_given() {
        for (name, image, expected) in [
            (Some("shop/worker"), Some("x:1"), Some("shop/worker")),
            (None, Some("hello:latest"), Some("hello")),
            (None, Some("127.0.0.1:5000/team/shop:v2"), Some("shop")),
            (None, Some("shop@sha256:00"), Some("shop")),
            (None, Some("Under_score"), None),
            (None, None, None),
        ] {
            let request = DeployRequest {
                name: name.map(Into::into),
                image: image.map(Into::into),
                ..Default::default()
            };
            assert_eq!(
                request.service_id().ok().map(|id| id.to_string()).as_deref(),
                expected,
                "{request:?}"
            );
        }
    }

    #[test]
    fn what_is_left_out_stays() {
        let first = DeployRequest {
            command: Some("serve".into()),
            env: [("A".to_owned(), Some("1".to_owned())), ("B".to_owned(), Some("2".to_owned()))].into(),
            ports: Some(vec![80]),
            health: Some(HealthRequest {
                check: Some("/up".into()),
                grace_ms: Some(1),
                ..Default::default()
            }),
            instances: Some(3),
            ..Default::default()
        };
        let standing = first.onto(None, None).unwrap();
        let image = ImageRef { name: "hello:latest".into(), digest: Digest::of(b"x") };
        let second = DeployRequest { env: [("A".to_owned(), None)].into(), ..Default::default() };
        let spec = second.onto(Some(&standing), Some(image.clone())).unwrap();
        assert_eq!(spec.instances, 3);
        assert_eq!(spec.template.image, Some(image));
        assert_eq!(spec.template.command, Some(Command::Shell("serve".into())));
        assert_eq!(spec.template.env.keys().collect::<Vec<_>>(), ["B"]);
        assert_eq!(spec.template.health.as_ref().map(check_text).as_deref(), Some("/up"));
        assert_eq!(spec.template.health.map(|check| check.grace_ms), Some(1));
    }

    #[test]
    fn a_single_copy_stays_one_until_it_is_taken_back() {
        let request = |single, lease_ms| DeployRequest {
            command: Some("x".into()),
            single,
            lease_ms,
            ..Default::default()
        };
        let lease = |spec: &ServiceSpec| spec.template.lease_ms;
        let first = request(Some(true), None).onto(None, None).unwrap();
        assert_eq!(lease(&first), Some(20_000));
        let second = request(None, Some(5_000)).onto(Some(&first), None).unwrap();
        assert_eq!(lease(&second), Some(5_000));
        let third = request(Some(true), None).onto(Some(&second), None).unwrap();
        assert_eq!(lease(&third), Some(5_000));
        assert_eq!(lease(&request(Some(false), None).onto(Some(&third), None).unwrap()), None);
        assert_eq!(fields(request(None, Some(5_000)).onto(None, None).unwrap_err()), ["lease_ms"]);
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let request = DeployRequest {
            network: Some("moon".into()),
            constraints: Some(vec!["zone=a".into(), "zone".into()]),
            health: Some(HealthRequest { check: Some("ping".into()), ..Default::default() }),
            mem_bytes: Some(1),
            ..Default::default()
        };
        let expected = ["constraints[1]", "network", "health.check", "template", "template.limits.mem_bytes"];
        assert_eq!(fields(request.onto(None, None).unwrap_err()), expected);
    }

    #[test]
    fn a_health_check_of_a_port_needs_a_port() {
        let request = DeployRequest {
            command: Some("x".into()),
            health: Some(HealthRequest { check: Some("tcp".into()), ..Default::default() }),
            ..Default::default()
        };
        assert_eq!(fields(request.onto(None, None).unwrap_err()), ["template.health.probe.port"]);
    }

    #[test]
    fn deploying_a_stopped_service_starts_it() {
        let standing = ServiceSpec { instances: 2, is_stopped: true, ..ServiceSpec::default() };
        let request = DeployRequest { command: Some("x".into()), ..Default::default() };
        assert_eq!(request.onto(Some(&standing), None).unwrap().wish(), 2);
    }
}
