//! Templates as they stand in records and orders: what is as by default is left out.
//!
//! There is a record of a template for each task and for each instance, written again whenever its state changes; most
//! of a template is as by default. Whoever reads takes [`TaskTemplate`] as it is, which fills the gaps: so the defaults
//! are part of the data format.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::health::HealthCheck;
use crate::image::ImageRef;
use crate::resources::{Bytes, CpuMillis};
use crate::template::{Command, Limits, NetworkMode, PortSpec, TaskTemplate};

/// For `serialize_with`.
///
/// # Errors
/// Those of `serializer`.
pub fn serialize<S: Serializer>(template: &TaskTemplate, serializer: S) -> Result<S::Ok, S::Error> {
    SparseTemplate::of(template).serialize(serializer)
}

/// `value`, unless it is `default`.
fn unless<'a, T: PartialEq>(value: &'a T, default: &T) -> Option<&'a T> {
    (value != default).then_some(value)
}

#[derive(Serialize)]
struct SparseTemplate<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a ImageRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a Command>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    env: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<SparseLimits<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<&'a NetworkMode>,
    #[serde(skip_serializing_if = "<[PortSpec]>::is_empty")]
    ports: &'a [PortSpec],
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_root_read_only: Option<&'a bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<&'a HealthCheck>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kill_grace_ms: Option<&'a u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drain_ms: Option<&'a u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restart_count: Option<&'a u64>,
}

#[derive(Serialize)]
struct SparseLimits<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_millis: Option<&'a CpuMillis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mem_bytes: Option<&'a Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_bytes: Option<&'a Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pids: Option<&'a u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    open_files: Option<&'a u32>,
}

impl<'a> SparseTemplate<'a> {
    fn of(template: &'a TaskTemplate) -> Self {
        let default = TaskTemplate::default();
        // By name, all of them: a field that is new is not forgotten here.
        let TaskTemplate {
            image,
            command,
            env,
            limits,
            network,
            ports,
            user,
            is_root_read_only,
            health,
            kill_grace_ms,
            drain_ms,
            lease_ms,
            restart_count,
        } = template;
        Self {
            image: image.as_ref(),
            command: command.as_ref(),
            env,
            limits: (*limits != default.limits).then(|| SparseLimits::of(limits)),
            network: unless(network, &default.network),
            ports,
            user: user.as_ref(),
            is_root_read_only: unless(is_root_read_only, &default.is_root_read_only),
            health: health.as_ref(),
            kill_grace_ms: unless(kill_grace_ms, &default.kill_grace_ms),
            drain_ms: unless(drain_ms, &default.drain_ms),
            lease_ms: *lease_ms,
            restart_count: unless(restart_count, &default.restart_count),
        }
    }
}

impl<'a> SparseLimits<'a> {
    fn of(limits: &'a Limits) -> Self {
        let default = Limits::default();
        let Limits { cpu_millis, mem_bytes, disk_bytes, pids, open_files } = limits;
        Self {
            cpu_millis: unless(cpu_millis, &default.cpu_millis),
            mem_bytes: unless(mem_bytes, &default.mem_bytes),
            disk_bytes: unless(disk_bytes, &default.disk_bytes),
            pids: unless(pids, &default.pids),
            open_files: unless(open_files, &default.open_files),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::health::Probe;

    fn written(template: &TaskTemplate) -> String {
        serde_json::to_string(&SparseTemplate::of(template)).unwrap()
    }

    /// Every field that `all` has, alone in a template that is otherwise as by default.
    fn each_alone(all: &serde_json::Value, path: &[&str]) -> Vec<TaskTemplate> {
        let fields = all.as_object().unwrap().iter();
        let alone = fields.map(|(field, value)| {
            let inner = serde_json::json!({ field.as_str(): value });
            path.iter().rev().fold(inner, |inner, outer| serde_json::json!({ *outer: inner }))
        });
        alone.map(|json| serde_json::from_value(json).unwrap()).collect()
    }

    #[test]
    fn what_is_left_out_comes_back_and_what_is_not_as_by_default_is_written() {
        let all = serde_json::json!({
            "image": {"name": "shop:1", "digest": Digest::of(b"shop")}, "command": {"shell": "run"},
            "env": {"A": "1"}, "network": "host",
            "ports": [{"container_port": 80}], "user": "nobody", "is_root_read_only": true,
            "health": HealthCheck::new(Probe::Tcp { port: 0 }),
            "kill_grace_ms": 1, "drain_ms": 2, "lease_ms": 3, "restart_count": 4,
        });
        let limits = serde_json::json!({
            "cpu_millis": 1, "mem_bytes": 2, "disk_bytes": 3, "pids": 4, "open_files": 5,
        });
        assert_eq!(written(&TaskTemplate::default()), "{}");
        let mut alone = each_alone(&all, &[]);
        alone.extend(each_alone(&limits, &["limits"]));
        assert_eq!(alone.len(), 17, "a field for each of the two types");
        for template in alone {
            assert_ne!(template, TaskTemplate::default());
            let text = written(&template);
            assert_eq!(serde_json::from_str::<TaskTemplate>(&text).unwrap(), template, "{text}");
        }
    }

    #[test]
    fn a_digest_is_of_the_whole_template_however_records_are_written() {
        let digest = TaskTemplate::default().digest().to_string();
        let whole = serde_json::to_vec(&TaskTemplate::default()).unwrap();
        assert_eq!(digest, Digest::of(&whole).to_string());
        assert!(whole.len() > written(&TaskTemplate::default()).len());
    }
}
