//! `/etc/hostname`, `/etc/hosts` and `/etc/resolv.conf` of one container.

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::error::BundleError;
use super::mounts::ExtraMount;

/// Where the host keeps its real name servers when `/etc/resolv.conf` names only a local cache.
const RESOLV_FILES: [&str; 2] = ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"];

/// What a container is told about names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NameFiles {
    /// Its own name.
    pub hostname: String,
    /// Its own address, if it has one.
    pub address: Option<IpAddr>,
    /// More lines for `/etc/hosts`.
    pub hosts: Vec<(IpAddr, String)>,
    /// Name servers, in order.
    pub nameservers: Vec<IpAddr>,
    /// Suffixes to try.
    pub search: Vec<String>,
}

impl NameFiles {
    /// Takes the host's name servers and suffixes, except those that only the host itself can reach.
    pub fn use_resolver_of_host(&mut self) {
        let text = RESOLV_FILES.iter().find_map(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        (self.nameservers, self.search) = parse_resolv(&text);
    }

    /// Writes the three files into `dir`; returns their mounts.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, dir: &Path) -> Result<Vec<ExtraMount>, BundleError> {
        let files = [
            ("hostname", "/etc/hostname", format!("{}\n", self.hostname)),
            ("hosts", "/etc/hosts", self.hosts_text()),
            ("resolv.conf", "/etc/resolv.conf", self.resolv_text()),
        ];
        let mut mounts = Vec::new();
        for (name, target, text) in files {
            let source = dir.join(name);
            fs::write(&source, text)
                .map_err(|error| BundleError::Write { path: source.clone(), source: error })?;
            mounts.push(ExtraMount::Bind { source, target: PathBuf::from(target), is_read_only: true });
        }
        Ok(mounts)
    }

    fn hosts_text(&self) -> String {
        let mut text = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".to_owned();
        let own = self.address.map(|address| (address, self.hostname.clone()));
        for (address, names) in own.iter().chain(&self.hosts) {
            let _ = writeln!(text, "{address}\t{names}");
        }
        text
    }

    fn resolv_text(&self) -> String {
        let mut text = String::new();
        for server in &self.nameservers {
            let _ = writeln!(text, "nameserver {server}");
        }
        if !self.search.is_empty() {
            let _ = writeln!(text, "search {}", self.search.join(" "));
        }
        text
    }
}

/// See `man 5 resolv.conf`.
fn parse_resolv(text: &str) -> (Vec<IpAddr>, Vec<String>) {
    let (mut servers, mut search) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => {
                let server = words.next().and_then(|word| word.parse().ok());
                servers.extend(server.filter(|address: &IpAddr| !address.is_loopback()));
            }
            Some("search") => search = words.map(str::to_owned).collect(),
            _ => {}
        }
    }
    (servers, search)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_cache_is_no_name_server_for_containers() {
        let (servers, search) = parse_resolv(
            "# x\nnameserver 127.0.0.53\nnameserver 10.0.0.2\nsearch a.test b.test\noptions edns0\n",
        );
        assert_eq!(
            (servers, search),
            (vec!["10.0.0.2".parse().unwrap()], vec!["a.test".into(), "b.test".into()])
        );
    }

    #[test]
    fn the_files_say_who_the_container_is() {
        let dir = tempfile::tempdir().unwrap();
        let names = NameFiles {
            hostname: "web-1".to_owned(),
            address: Some("10.88.0.2".parse().unwrap()),
            nameservers: vec!["10.0.0.2".parse().unwrap()],
            ..NameFiles::default()
        };
        assert_eq!(names.write(dir.path()).unwrap().len(), 3);
        let hosts = fs::read_to_string(dir.path().join("hosts")).unwrap();
        assert!(
            hosts.contains("10.88.0.2\tweb-1\n") && hosts.starts_with("127.0.0.1\tlocalhost\n"),
            "{hosts}"
        );
        assert_eq!(fs::read_to_string(dir.path().join("resolv.conf")).unwrap(), "nameserver 10.0.0.2\n");
    }
}
