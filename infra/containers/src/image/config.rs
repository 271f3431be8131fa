//! An image's config: what it runs by default (image-spec, config.md).

use std::collections::BTreeMap;

use kogge_model::digest::Digest;
use serde::{Deserialize, Deserializer, Serialize};

use super::error::ImageError;

/// What an image says about how it wants to be run. Every field may be overridden by a task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ImageConfig {
    /// The program and its fixed arguments.
    pub entrypoint: Vec<String>,
    /// Default arguments, or the whole command line when there is no entrypoint.
    pub cmd: Vec<String>,
    /// `KEY=value`, in order.
    pub env: Vec<String>,
    /// `user`, `uid`, `user:group` or `uid:gid`; none means root.
    pub user: Option<String>,
    /// Where the command starts; none means `/`.
    pub working_dir: Option<String>,
    /// Ports it listens on.
    pub exposed_ports: Vec<ExposedPort>,
    /// Paths it wants to outlive the container.
    pub volumes: Vec<String>,
    /// The signal that asks it to end, as `SIGTERM` or a number.
    pub stop_signal: Option<String>,
    /// Notes.
    pub labels: BTreeMap<String, String>,
}

/// A port an image listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExposedPort {
    /// The number, never 0.
    pub port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// A transport protocol that ports belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl ImageConfig {
    /// The command line when the task gives none.
    #[must_use]
    pub fn default_argv(&self) -> Vec<String> {
        self.entrypoint.iter().chain(&self.cmd).cloned().collect()
    }
}

/// The whole config document, as far as it is needed here.
#[derive(Debug, Clone)]
pub(crate) struct ConfigDocument {
    pub(crate) config: ImageConfig,
    pub(crate) diff_ids: Vec<Digest>,
    /// `linux/amd64`.
    pub(crate) platform: String,
}

impl ConfigDocument {
    pub(crate) fn parse(bytes: &[u8], what: &str) -> Result<Self, ImageError> {
        let wire: Wire = serde_json::from_slice(bytes).map_err(|error| ImageError::malformed(what, error))?;
        if wire.os.as_deref().is_some_and(|os| os != "linux") {
            let why = format!("it is for {}", wire.os.unwrap_or_default());
            return Err(ImageError::Unsupported { what: what.to_owned(), why });
        }
        if wire.rootfs.kind != "layers" {
            return Err(ImageError::malformed(what, "rootfs.type is not layers"));
        }
        let platform = format!("linux/{}", wire.architecture.unwrap_or_else(|| "unknown".to_owned()));
        let run = wire.config.unwrap_or_default();
        let mut exposed_ports = Vec::new();
        for text in run.exposed_ports.keys() {
            exposed_ports.push(exposed_port(text).ok_or_else(|| {
                ImageError::malformed(what, format!("{text:?} is not a port such as 8080/tcp"))
            })?);
        }
        exposed_ports.sort_unstable();
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Self {
            config: ImageConfig {
                entrypoint: run.entrypoint,
                cmd: run.cmd,
                env: run.env,
                user: filled(run.user),
                working_dir: filled(run.working_dir),
                exposed_ports,
                volumes: run.volumes.into_keys().collect(),
                stop_signal: filled(run.stop_signal),
                labels: run.labels,
            },
            diff_ids: wire.rootfs.diff_ids,
            platform,
        })
    }
}

fn exposed_port(text: &str) -> Option<ExposedPort> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => return None,
    };
    let port = number.parse().ok().filter(|&port| port != 0)?;
    Some(ExposedPort { port, protocol })
}

#[derive(Deserialize)]
struct Wire {
    architecture: Option<String>,
    os: Option<String>,
    config: Option<RunWire>,
    rootfs: RootfsWire,
}

#[derive(Deserialize)]
struct RootfsWire {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    diff_ids: Vec<Digest>,
}

/// Docker writes `null` where it means empty.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RunWire {
    #[serde(deserialize_with = "null_is_empty")]
    entrypoint: Vec<String>,
    #[serde(deserialize_with = "null_is_empty")]
    cmd: Vec<String>,
    #[serde(deserialize_with = "null_is_empty")]
    env: Vec<String>,
    user: Option<String>,
    working_dir: Option<String>,
    #[serde(deserialize_with = "null_is_empty")]
    exposed_ports: BTreeMap<String, serde_json::Value>,
    #[serde(deserialize_with = "null_is_empty")]
    volumes: BTreeMap<String, serde_json::Value>,
    stop_signal: Option<String>,
    #[serde(deserialize_with = "null_is_empty")]
    labels: BTreeMap<String, String>,
}

fn null_is_empty<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_as_docker_writes_it_is_understood() {
        let text = r#"{"architecture":"amd64","os":"linux","config":{"Entrypoint":null,"Cmd":["serve","-v"],
            "Env":["PATH=/bin"],"User":"web:www","WorkingDir":"","ExposedPorts":{"53/udp":{},"80":{}},
            "Volumes":{"/data":{}},"StopSignal":"SIGINT","Labels":null},
            "rootfs":{"type":"layers","diff_ids":null}}"#;
        let document = ConfigDocument::parse(text.as_bytes(), "x").unwrap();
        let ports =
            [(53, Protocol::Udp), (80, Protocol::Tcp)].map(|(port, protocol)| ExposedPort { port, protocol });
        assert_eq!(document.config.exposed_ports, ports);
        assert_eq!(document.config.default_argv(), ["serve", "-v"]);
        assert_eq!(document.config.user.as_deref(), Some("web:www"));
        assert_eq!(document.config.working_dir, None);
        assert_eq!(document.platform, "linux/amd64");
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        for (text, part) in [
            (r#"{"os":"windows","rootfs":{"type":"layers"}}"#, "windows"),
            (r#"{"rootfs":{"type":"layers","diff_ids":["md5:1"]}}"#, "digest"),
            (r#"{"rootfs":{"type":"layers"},"config":{"ExposedPorts":{"0/tcp":{}}}}"#, "0/tcp"),
            ("[]", "malformed"),
        ] {
            let error = ConfigDocument::parse(text.as_bytes(), "the config").unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
