//! What people want: something that should always run in N instances.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::attribute::Constraint;
use crate::fault::Faults;
use crate::health::Probe;
use crate::lease::{LONGEST_LEASE_MS, SHORTEST_LEASE_MS};
use crate::template::{NetworkMode, TaskTemplate};

/// A service as it stands in the tree.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceSpec {
    /// What each instance runs.
    pub template: TaskTemplate,
    /// How many.
    pub instances: u32,
    /// Stopped by hand: none run, but the wish for [`ServiceSpec::instances`] is remembered.
    pub is_stopped: bool,
    /// Where instances may run.
    pub constraints: Vec<Constraint>,
    /// How one template follows another.
    pub upgrade: UpgradePolicy,
    /// Names and paths under which the router offers it, beside its own default name.
    pub routes: Vec<RouteSpec>,
}

/// Bounds of a rolling replace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpgradePolicy {
    /// Healthy instances never fall below this share of the wish, in percent, rounded up.
    pub min_healthy_percent: u32,
    /// Instances never exceed the wish by more than this share, in percent, rounded up.
    pub max_surge_percent: u32,
    /// A deployment that is not done by then goes back.
    pub deadline_ms: u64,
    /// A deployment that makes no step for this long goes back.
    pub no_progress_ms: u64,
}

impl Default for UpgradePolicy {
    fn default() -> Self {
        Self {
            min_healthy_percent: 100,
            max_surge_percent: 100,
            deadline_ms: 600_000,
            no_progress_ms: 300_000,
        }
    }
}

impl UpgradePolicy {
    /// Healthy instances that a replace of `wish` instances must keep.
    #[must_use]
    pub fn min_healthy(&self, wish: u32) -> u32 {
        percent_up(wish, self.min_healthy_percent)
    }

    /// Instances that a replace of `wish` instances may have in all. Always leaves room for one step: where rounding
    /// would keep all of few instances healthy and allow none on top, one on top is allowed.
    #[must_use]
    pub fn max_total(&self, wish: u32) -> u32 {
        let surge = percent_up(wish, self.max_surge_percent);
        let is_stuck = surge == 0 && wish > 0 && self.min_healthy(wish) == wish;
        wish.saturating_add(if is_stuck { 1 } else { surge })
    }

    /// See [`UpgradePolicy::deadline_ms`].
    #[must_use]
    pub const fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    /// See [`UpgradePolicy::no_progress_ms`].
    #[must_use]
    pub const fn no_progress(&self) -> Duration {
        Duration::from_millis(self.no_progress_ms)
    }
}

fn percent_up(of: u32, percent: u32) -> u32 {
    u32::try_from((u64::from(of) * u64::from(percent)).div_ceil(100)).unwrap_or(u32::MAX)
}

/// A name under which the router offers a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RouteSpec {
    /// Host name, without port; `*.example.org` matches one label. None: every host.
    pub host: Option<String>,
    /// Path prefix on segment borders, `/` for all.
    pub path: String,
}

impl ServiceSpec {
    /// How many instances should run now.
    #[must_use]
    pub const fn wish(&self) -> u32 {
        if self.is_stopped { 0 } else { self.instances }
    }

    /// Whether there is never to be a second live copy (G9).
    #[must_use]
    pub const fn is_single(&self) -> bool {
        self.template.lease_ms.is_some()
    }

    /// Healthy instances that a replace must keep. The single copy goes before the next one comes.
    #[must_use]
    pub fn min_healthy(&self) -> u32 {
        if self.is_single() { 0 } else { self.upgrade.min_healthy(self.wish()) }
    }

    /// Instances that a replace may have in all.
    #[must_use]
    pub fn max_total(&self) -> u32 {
        if self.is_single() { self.wish() } else { self.upgrade.max_total(self.wish()) }
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// All faults at once, with the paths of their fields.
    pub fn validate(&self) -> Result<(), Faults> {
        let mut faults = Faults::default();
        faults.check(self.instances <= 10_000, "instances", || {
            format!("{} is more than 10000", self.instances)
        });
        self.check_single(&mut faults);
        self.check_upgrade(&mut faults);
        for (i, route) in self.routes.iter().enumerate() {
            faults.check(route.path.starts_with('/'), format!("routes[{i}].path"), || {
                format!("{:?} does not start with /", route.path)
            });
            faults.check(!self.template.ports.is_empty(), format!("routes[{i}]"), || {
                "a routed service needs a port".to_owned()
            });
        }
        self.template.check(&mut faults);
        faults.finish(())
    }

    fn check_single(&self, faults: &mut Faults) {
        let Some(lease_ms) = self.template.lease_ms else { return };
        faults.check(self.instances <= 1, "instances", || {
            format!("{} copies of a service that shall have a single one", self.instances)
        });
        let bounds = SHORTEST_LEASE_MS..=LONGEST_LEASE_MS;
        faults.check(bounds.contains(&lease_ms), "template.lease_ms", || {
            format!("{lease_ms} is not between {} and {} ms", bounds.start(), bounds.end())
        });
    }

    fn check_upgrade(&self, faults: &mut Faults) {
        let upgrade = &self.upgrade;
        faults.check(upgrade.min_healthy_percent <= 100, "upgrade.min_healthy_percent", || {
            format!("{} is more than 100", upgrade.min_healthy_percent)
        });
        faults.check(upgrade.max_surge_percent <= 100, "upgrade.max_surge_percent", || {
            format!("{} is more than 100", upgrade.max_surge_percent)
        });
        let can_move = upgrade.min_healthy_percent < 100 || upgrade.max_surge_percent > 0;
        faults.check(can_move, "upgrade", || {
            "with all instances kept healthy and none on top, no replace can ever start".to_owned()
        });
        faults.check(upgrade.deadline_ms > 0, "upgrade.deadline_ms", || "must be more than 0".to_owned());
        faults
            .check(upgrade.no_progress_ms > 0, "upgrade.no_progress_ms", || "must be more than 0".to_owned());
    }
}

impl TaskTemplate {
    fn check(&self, faults: &mut Faults) {
        faults.check(self.image.is_some() || self.command.is_some(), "template", || {
            "needs an image or a command".to_owned()
        });
        self.check_limits(faults);
        self.check_env(faults);
        for (i, port) in self.ports.iter().enumerate() {
            let is_bridge = self.network == NetworkMode::Bridge;
            faults.check(!is_bridge || port.container_port.is_some(), format!("template.ports[{i}]"), || {
                "a port on the bridge network needs its number inside the container".to_owned()
            });
        }
        faults.check(self.ports.len() <= 32, "template.ports", || "more than 32 ports".to_owned());
        self.check_health(faults);
    }

    fn check_limits(&self, faults: &mut Faults) {
        let limits = &self.limits;
        let (cpu, mem) = (limits.cpu_millis.0, limits.mem_bytes.0);
        faults.check((10..=1_024_000).contains(&cpu), "template.limits.cpu_millis", || {
            format!("{cpu} is not between 10 (0.01 cpus) and 1024000")
        });
        faults.check((4 << 20..=64 << 40).contains(&mem), "template.limits.mem_bytes", || {
            format!("{mem} is not between 4 MiB and 64 TiB")
        });
        faults.check((1..=1_000_000).contains(&limits.pids), "template.limits.pids", || {
            format!("{} is not between 1 and 1000000", limits.pids)
        });
        faults.check((16..=1_048_576).contains(&limits.open_files), "template.limits.open_files", || {
            format!("{} is not between 16 and 1048576", limits.open_files)
        });
        for (field, millis) in [("kill_grace_ms", self.kill_grace_ms), ("drain_ms", self.drain_ms)] {
            faults.check(millis <= 3_600_000, format!("template.{field}"), || {
                format!("{millis} is over an hour")
            });
        }
    }

    fn check_env(&self, faults: &mut Faults) {
        for (key, value) in &self.env {
            let is_key = !key.is_empty()
                && !key.starts_with(|c: char| c.is_ascii_digit())
                && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            faults.check(is_key, format!("template.env.{key}"), || {
                "a variable's name is letters, digits and _, not starting with a digit".to_owned()
            });
            faults.check(!value.contains('\0'), format!("template.env.{key}"), || {
                "a value cannot contain a zero byte".to_owned()
            });
        }
        let size: usize = self.env.iter().map(|(key, value)| key.len() + value.len() + 2).sum();
        faults.check(size <= 128 << 10, "template.env", || format!("{size} bytes are more than 128 KiB"));
    }

    fn check_health(&self, faults: &mut Faults) {
        let Some(check) = &self.health else { return };
        match &check.probe {
            Probe::Http { path, port } => {
                faults.check(path.starts_with('/'), "template.health.probe.path", || {
                    format!("{path:?} does not start with /")
                });
                self.check_probe_port(*port, faults);
            }
            Probe::Tcp { port } => self.check_probe_port(*port, faults),
            Probe::Command { argv } => {
                faults.check(!argv.is_empty(), "template.health.probe.argv", || "is empty".to_owned());
            }
        }
        for (field, millis) in [("interval_ms", check.interval_ms), ("timeout_ms", check.timeout_ms)] {
            faults.check((10..=3_600_000).contains(&millis), format!("template.health.{field}"), || {
                format!("{millis} is not between 10 ms and an hour")
            });
        }
        let is_ordered = 1 <= check.failures_to_leave && check.failures_to_leave <= check.failures_to_replace;
        faults.check(is_ordered, "template.health.failures_to_leave", || {
            "must be at least 1 and at most failures_to_replace".to_owned()
        });
    }

    fn check_probe_port(&self, port: usize, faults: &mut Faults) {
        faults.check(port < self.ports.len(), "template.health.probe.port", || {
            format!("there is no port {port}: the template has {}", self.ports.len())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Command;

    #[test]
    fn all_faults_are_told_at_once_with_their_fields() {
        let mut spec = ServiceSpec { instances: 20_000, ..ServiceSpec::default() };
        spec.template.limits.pids = 0;
        spec.template.env.insert("1A".into(), "x".into());
        spec.upgrade.max_surge_percent = 0;
        let fields: Vec<String> =
            spec.validate().unwrap_err().0.into_iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["instances", "upgrade", "template", "template.limits.pids", "template.env.1A"]);
    }

    #[test]
    fn a_plain_command_is_enough() {
        let mut spec = ServiceSpec { instances: 1, ..ServiceSpec::default() };
        spec.template.command = Some(Command::Shell("sleep 1".into()));
        assert_eq!(spec.validate(), Ok(()));
    }

    #[test]
    fn a_single_copy_is_one_and_goes_before_the_next_one_comes() {
        let mut spec = ServiceSpec { instances: 1, ..ServiceSpec::default() };
        spec.template.command = Some(Command::Shell("sleep 1".into()));
        spec.template.lease_ms = Some(20_000);
        assert_eq!(spec.validate(), Ok(()));
        assert_eq!((spec.min_healthy(), spec.max_total()), (0, 1));
        (spec.instances, spec.template.lease_ms) = (2, Some(1_999));
        let fields: Vec<String> =
            spec.validate().unwrap_err().0.into_iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["instances", "template.lease_ms"]);
    }

    #[test]
    fn bounds_round_towards_more_instances() {
        let policy =
            UpgradePolicy { min_healthy_percent: 50, max_surge_percent: 34, ..UpgradePolicy::default() };
        assert_eq!((policy.min_healthy(3), policy.max_total(3), policy.max_total(0)), (2, 5, 0));
        let tight =
            UpgradePolicy { min_healthy_percent: 50, max_surge_percent: 0, ..UpgradePolicy::default() };
        assert_eq!((tight.max_total(1), tight.max_total(2)), (2, 2), "one instance must be able to move");
    }
}
