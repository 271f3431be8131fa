//! What this machine has.

use std::fs;
use std::io;
use std::path::Path;

use kogge_model::agent::AgentInfo;
use kogge_model::attribute::Attributes;
use kogge_model::id::AgentId;
use kogge_model::resources::{Bytes, CpuMillis, Resources};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{AgentConfig, default_ports};

/// What the kernel allows one process by default (`fs.nr_open`).
const MOST_OPEN_FILES: u32 = 1 << 20;

/// Which boot this is (random(4), `boot_id`).
pub(crate) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// How the agent presents itself.
pub(crate) fn info(config: &AgentConfig, agent: AgentId) -> io::Result<AgentInfo> {
    let hostname = hostname()?;
    let name = config.name.clone().unwrap_or_else(|| hostname.clone());
    let mut attributes: Attributes = config.attributes.clone();
    attributes.insert("agent".to_owned(), name.clone());
    attributes.insert("hostname".to_owned(), hostname);
    attributes.insert("arch".to_owned(), std::env::consts::ARCH.to_owned());
    Ok(AgentInfo {
        agent,
        name,
        address: config.address,
        resources: resources(config)?,
        attributes,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        closed: None,
    })
}

/// The host's name.
pub(crate) fn hostname() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/hostname")?.trim().to_owned())
}

/// What is offered: what was asked for, else what is there.
fn resources(config: &AgentConfig) -> io::Result<Resources> {
    let wanted = &config.resources;
    Ok(Resources {
        cpu_millis: wanted.cpu_millis.unwrap_or_else(cpus),
        mem_bytes: match wanted.mem_bytes {
            Some(bytes) => bytes,
            None => Bytes(memory()?.0.saturating_sub(config.mem_reserve.0)),
        },
        disk_bytes: match wanted.disk_bytes {
            Some(bytes) => bytes,
            None => free_disk(&config.data)?,
        },
        ports: wanted.ports.clone().unwrap_or_else(default_ports),
    })
}

/// The most open files a task can be allowed: without CAP_SYS_RESOURCE not even root goes beyond its own hard limit.
pub(crate) fn most_open_files() -> u32 {
    let own = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: own.current, maximum: Some(MOST_OPEN_FILES.into()) };
    let maximum = match own.maximum {
        Some(maximum) if maximum >= u64::from(MOST_OPEN_FILES) => maximum,
        // Inherited by the supervisors, who set their tasks' limits.
        Some(maximum) => setrlimit(Resource::Nofile, raised).map_or(maximum, |()| MOST_OPEN_FILES.into()),
        None => MOST_OPEN_FILES.into(),
    };
    u32::try_from(maximum).unwrap_or(MOST_OPEN_FILES)
}

fn cpus() -> CpuMillis {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    CpuMillis(u64::try_from(cpus).unwrap_or(1) * 1_000)
}

/// `MemTotal` (proc(5)).
fn memory() -> io::Result<Bytes> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    let kib: u64 = kib.ok_or_else(|| io::Error::other("/proc/meminfo has no MemTotal"))?;
    Ok(Bytes(kib * 1_024))
}

/// Room for unprivileged writers on the file system of `path`.
pub(crate) fn free_disk(path: &Path) -> io::Result<Bytes> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(Bytes(stat.f_bavail * stat.f_frsize))
}

/// Files that unprivileged users can still make on the file system of `path`; none where only bytes are counted.
pub(crate) fn free_files(path: &Path) -> io::Result<Option<u64>> {
    let stat = rustix::fs::statvfs(path)?;
    Ok((stat.f_files > 0).then_some(stat.f_favail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_something_of_everything_and_overrides_win() {
        let dir = tempfile::tempdir().unwrap();
        let address = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
        let mut config = AgentConfig::new(dir.path().into(), dir.path().into(), "t", address);
        let found = info(&config, AgentId::new("a")).unwrap();
        assert!(found.resources.cpu_millis.0 >= 1_000 && found.resources.mem_bytes > Bytes::mib(64));
        assert!(found.resources.disk_bytes.0 > 0 && found.resources.ports.len() == 1_001);
        assert_eq!(found.attributes["arch"], std::env::consts::ARCH);
        assert!(!boot_id().unwrap().is_empty());
        config.resources.cpu_millis = Some(CpuMillis(100));
        config.name = Some("me".to_owned());
        let found = info(&config, AgentId::new("a")).unwrap();
        assert_eq!((found.resources.cpu_millis, found.name.as_str()), (CpuMillis(100), "me"));
    }
}
