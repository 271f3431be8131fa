//! Where the ensemble is and how to get in: one URL.
//!
//! ```text
//! zk://[user:password@]host[:2181][,host[:2181]…]/path[?session_ms=4000]
//! zks://…/path?ca=FILE[&cert=FILE&key=FILE]
//! ```

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

const DEFAULT_PORT: u16 = 2181;
const DEFAULT_SESSION: Duration = Duration::from_millis(4000);
const SESSION_MS: std::ops::RangeInclusive<u64> = 1_000..=120_000;

/// A ZooKeeper ensemble and a path in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub(super) hosts: Vec<Host>,
    /// Absolute, without a slash at the end.
    pub(super) root: String,
    pub(super) credentials: Option<Credentials>,
    pub(super) tls: Option<TlsFiles>,
    /// What is asked for; the ensemble may answer with another time.
    pub(super) session: Duration,
}

/// The address as it can be shown: without the password, and without the parameters.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls.is_some() { "zks://" } else { "zk://" })?;
        if let Some(credentials) = &self.credentials {
            write!(f, "{}@", credentials.user)?;
        }
        let hosts: Vec<String> = self.hosts.iter().map(Host::to_string).collect();
        write!(f, "{}{}", hosts.join(","), self.root)
    }
}

/// One member's client door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    /// A name or an address, without brackets.
    pub(super) name: String,
    pub(super) port: u16,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.contains(':') {
            true => write!(f, "[{}]:{}", self.name, self.port),
            false => write!(f, "{}:{}", self.name, self.port),
        }
    }
}

/// A user of the `digest` scheme.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

/// The password stays in here.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TlsFiles {
    /// Who signs the ensemble's certificates.
    pub(super) ca: PathBuf,
    /// Our own certificate chain and its key, if the ensemble asks for one.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
}

/// A URL that names no ensemble, with everything that is wrong with it. Never repeats a password.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a zookeeper address: {}", faults.join("; "))]
pub struct ConfigError {
    /// One sentence each.
    pub faults: Vec<String>,
}

impl FromStr for Config {
    type Err = ConfigError;

    fn from_str(url: &str) -> Result<Self, ConfigError> {
        let mut faults = Vec::new();
        let (encrypted, rest) = match (url.strip_prefix("zk://"), url.strip_prefix("zks://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(ConfigError { faults: vec!["it begins with neither zk:// nor zks://".into()] }),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (user, hosts) = authority.rsplit_once('@').map_or((None, authority), |(u, h)| (Some(u), h));
        let credentials = user.and_then(|user| read_credentials(user, &mut faults));
        let hosts = hosts.split(',').filter_map(|host| read_host(host, &mut faults)).collect();
        let root = read_root(path, &mut faults);
        let (tls, session) = read_query(query, encrypted, &mut faults);
        match faults.is_empty() {
            true => Ok(Self { hosts, root, credentials, tls, session }),
            false => Err(ConfigError { faults }),
        }
    }
}

fn read_credentials(text: &str, faults: &mut Vec<String>) -> Option<Credentials> {
    let Some((user, password)) = text.split_once(':') else {
        faults.push("the user has no password: write user:password@".into());
        return None;
    };
    match (decode(user), decode(password)) {
        (Some(user), Some(password)) if !user.is_empty() && !user.contains(':') => {
            Some(Credentials { user, password })
        }
        _ => {
            faults.push("the user or password is empty, has a colon in the name, or a wrong % code".into());
            None
        }
    }
}

fn read_host(text: &str, faults: &mut Vec<String>) -> Option<Host> {
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, "")) => (name, None),
        Some((name, rest)) => (name, rest.strip_prefix(':')),
        None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    if name.is_empty() || name.contains(char::is_whitespace) {
        faults.push(format!("there is no host name in {text:?}"));
        return None;
    }
    match port.map(str::parse::<u16>) {
        None => Some(Host { name: name.to_owned(), port: DEFAULT_PORT }),
        Some(Ok(port)) if port > 0 => Some(Host { name: name.to_owned(), port }),
        Some(_) => {
            faults.push(format!("host {name} has no port between 1 and 65535"));
            None
        }
    }
}

/// ZooKeeper's own rules for paths: programmer's guide, "The ZooKeeper Data Model".
fn read_root(path: &str, faults: &mut Vec<String>) -> String {
    let Some(path) = decode(path) else {
        faults.push("the path has a wrong % code".into());
        return String::new();
    };
    let root = path.strip_suffix('/').unwrap_or(&path).to_owned();
    if root.is_empty() {
        faults.push("there is no path after the hosts: add one, such as /kogge".into());
        return root;
    }
    let mut segments = root.split('/').skip(1);
    if segments.any(|segment| matches!(segment, "" | "." | "..")) {
        faults.push(format!("path {root:?} has an empty, . or .. part"));
    }
    if root.chars().any(|c| c.is_control() || ('\u{fff0}'..='\u{ffff}').contains(&c)) {
        faults.push(format!("path {root:?} has a character that ZooKeeper does not take"));
    }
    if root == "/zookeeper" || root.starts_with("/zookeeper/") {
        faults.push("path /zookeeper belongs to ZooKeeper itself".into());
    }
    root
}

fn read_query(query: &str, encrypted: bool, faults: &mut Vec<String>) -> (Option<TlsFiles>, Duration) {
    let (mut ca, mut cert, mut key, mut session) = (None, None, None, DEFAULT_SESSION);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(value) = decode(value).filter(|value| !value.is_empty()) else {
            faults.push(format!("parameter {name} has no value, or a wrong % code in it"));
            continue;
        };
        match name {
            "ca" | "cert" | "key" if !encrypted => {
                faults.push(format!("parameter {name} needs zks:// in front"));
            }
            "ca" => ca = Some(PathBuf::from(value)),
            "cert" => cert = Some(PathBuf::from(value)),
            "key" => key = Some(PathBuf::from(value)),
            "session_ms" => match value.parse().ok().filter(|ms| SESSION_MS.contains(ms)) {
                Some(ms) => session = Duration::from_millis(ms),
                None => faults.push(format!("session_ms is {value:?}, not between 1000 and 120000")),
            },
            _ => faults.push(format!("there is no parameter {name}")),
        }
    }
    if !encrypted {
        return (None, session);
    }
    let identity = match (cert, key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        _ => {
            faults.push("cert and key go together, one of them is missing".into());
            None
        }
    };
    if ca.is_none() && !query.split('&').any(|pair| pair.starts_with("ca=") || pair == "ca") {
        faults.push("zks:// needs ca=FILE, the certificate that signs the ensemble's".into());
    }
    (ca.map(|ca| TlsFiles { ca, identity }), session)
}

/// Resolves `%XX`; `None` when that is no text.
fn decode(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: &[&str]) {
        let faults = url.parse::<Config>().err().map(|error| error.faults).unwrap_or_default();
        assert_eq!(faults, expected, "{url}");
    }

    #[test]
    fn a_whole_address_is_understood() {
        let url =
            "zks://adm%40in:s%3Aecret@h1,h2:2182,[::1]:2183/a/b/?session_ms=6000&ca=/c%20a&cert=c&key=k";
        let config: Config = url.parse().unwrap();
        let hosts: Vec<String> = config.hosts.iter().map(Host::to_string).collect();
        assert_eq!(hosts, ["h1:2181", "h2:2182", "[::1]:2183"]);
        assert_eq!(config.to_string(), "zks://adm@in@h1:2181,h2:2182,[::1]:2183/a/b");
        assert_eq!((config.root.as_str(), config.session), ("/a/b", Duration::from_secs(6)));
        let credentials = config.credentials.unwrap();
        assert_eq!((credentials.user.as_str(), credentials.password.as_str()), ("adm@in", "s:ecret"));
        assert_eq!(config.tls.unwrap().ca, PathBuf::from("/c a"));
    }

    #[test]
    fn the_password_is_never_printed() {
        let config: Config = "zk://admin:hunter2@h/p".parse().unwrap();
        let text = format!("{config:?} {:#?}", config.clone());
        assert!(text.contains("admin") && !text.contains("hunter2"), "{text}");
        let error = "zk://admin:hunter2@h:x/".parse::<Config>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn all_faults_are_named_at_once() {
        check("etcd://h/p", &["it begins with neither zk:// nor zks://"]);
        check("zk://h/kogge", &[]);
        check(
            "zk://root@,h:0/a//b?colour=red&session_ms=1&ca=x",
            &[
                "the user has no password: write user:password@",
                "there is no host name in \"\"",
                "host h has no port between 1 and 65535",
                "path \"/a//b\" has an empty, . or .. part",
                "there is no parameter colour",
                "session_ms is \"1\", not between 1000 and 120000",
                "parameter ca needs zks:// in front",
            ],
        );
        check(
            "zks://h?key=k",
            &[
                "there is no path after the hosts: add one, such as /kogge",
                "cert and key go together, one of them is missing",
                "zks:// needs ca=FILE, the certificate that signs the ensemble's",
            ],
        );
        check("zk://h/zookeeper/quota", &["path /zookeeper belongs to ZooKeeper itself"]);
        check("zk://h/%g0", &["the path has a wrong % code"]);
    }
}
