//! Where a state is kept, in one line, and the engine behind it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kogge_cli::Failure;
use kogge_store::Store;
use kogge_store::backend::etcd::{self, Etcd};
use kogge_store::backend::redb::{Embedded, OpenError, Options};
use kogge_store::backend::zookeeper::{self, ZooKeeper};

use crate::told::failure;

const EMBEDDED: &str = "embedded:";
const FILE: &str = "file:";

/// An engine and the cloud's part of it.
#[derive(Debug, Clone)]
pub(crate) enum Engine {
    /// The one of this program.
    Embedded(PathBuf),
    /// An etcd cluster.
    Etcd(etcd::Config),
    /// A ZooKeeper ensemble.
    ZooKeeper(zookeeper::Config),
}

/// Secrets stay out of it.
impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(directory) => write!(f, "{EMBEDDED}{}", directory.display()),
            Self::Etcd(config) => {
                let scheme = if config.tls.is_some() { "etcds" } else { "etcd" };
                let hosts: Vec<String> = config.endpoints.iter().map(ToString::to_string).collect();
                write!(f, "{scheme}://{}/{}", hosts.join(","), config.prefix)
            }
            Self::ZooKeeper(config) => write!(f, "{config}"),
        }
    }
}

impl Engine {
    /// What the operator wrote, or the engine of `data`. A password in the arguments of a process is seen by everybody
    /// on the machine, so the line can also stand in a file or in the environment.
    pub(crate) fn choose(written: Option<&str>, data: &Path) -> Result<Self, Failure> {
        let Some(written) = written else { return Ok(Self::Embedded(data.join("state"))) };
        if let Some(path) = written.strip_prefix(FILE) {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Failure::new(format!("cannot read the engine's address from {path}: {error}"))
            })?;
            return Self::parse(text.trim());
        }
        Self::parse(written)
    }

    fn parse(line: &str) -> Result<Self, Failure> {
        if let Some(directory) = line.strip_prefix(EMBEDDED) {
            return if directory.is_empty() {
                Err(Failure::usage("embedded: names no directory").with_hint("write embedded:DIR"))
            } else {
                Ok(Self::Embedded(directory.into()))
            };
        }
        let scheme = line.split(':').next().unwrap_or_default();
        if matches!(scheme, "etcd" | "etcds") {
            let config =
                line.parse().map_err(|error: etcd::AddressError| Failure::usage(error.to_string()))?;
            return Ok(Self::Etcd(config));
        }
        if matches!(scheme, "zk" | "zks") {
            let config =
                line.parse().map_err(|error: zookeeper::ConfigError| Failure::usage(error.to_string()))?;
            return Ok(Self::ZooKeeper(config));
        }
        Err(Failure::usage(format!("there is no state engine {scheme:?}")).with_hint(FORMS))
    }

    /// Whether only one process can use it.
    pub(crate) const fn is_embedded(&self) -> bool {
        matches!(self, Self::Embedded(_))
    }

    /// Opens it.
    pub(crate) async fn open(&self) -> Result<Arc<dyn Store>, Failure> {
        match self {
            Self::Embedded(directory) => open_embedded(directory).await,
            Self::Etcd(config) => {
                let opened = Etcd::open(config.clone()).await;
                opened.map(|store| Arc::new(store) as Arc<dyn Store>).map_err(|error| self.closed(&error))
            }
            Self::ZooKeeper(config) => {
                let opened = ZooKeeper::open(config, zookeeper::Options::default()).await;
                opened.map(|store| Arc::new(store) as Arc<dyn Store>).map_err(|error| self.closed(&error))
            }
        }
    }

    fn closed(&self, error: &(dyn std::error::Error + 'static)) -> Failure {
        failure(&format!("cannot open {self}"), error)
            .with_hint("running tasks are not touched; they go on without the state")
    }
}

const FORMS: &str = "write embedded:DIR, etcd://HOST:2379/PREFIX, zk://HOST:2181/PATH or file:PATH";

async fn open_embedded(directory: &Path) -> Result<Arc<dyn Store>, Failure> {
    let opened = Embedded::open(directory, Options::default()).await;
    opened.map(|store| Arc::new(store) as Arc<dyn Store>).map_err(|error| {
        let hint = match &error {
            OpenError::InUse { .. } => {
                "one cloud a data directory: see `kogge status`, or name another with --data"
            }
            OpenError::NewerFormat { .. } => "install the newer kogge, or name another directory with --data",
            OpenError::Missing { .. } | OpenError::Damaged { .. } => {
                "restore the data directory from a backup; running tasks are not touched"
            }
            OpenError::NoSpace { .. } => "free space on that disk",
            OpenError::Io { .. } => "is it a directory of this machine that root may write?",
        };
        failure("cannot open the state", &error).with_hint(hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(written: &str) -> Result<String, String> {
        let chosen = Engine::choose(Some(written), Path::new("/data"));
        chosen.map(|engine| engine.to_string()).map_err(|failure| failure.text().to_owned())
    }

    #[test]
    fn an_engine_is_named_in_one_line_or_in_a_file() {
        let own = Engine::choose(None, Path::new("/data")).unwrap();
        assert_eq!(own.to_string(), "embedded:/data/state");
        assert_eq!(choose("embedded:/elsewhere").unwrap(), "embedded:/elsewhere");
        let secret = choose("etcd://root:secret@one:2379,two/shop").unwrap();
        assert_eq!(secret, "etcd://one:2379,two:2379/shop", "no password is told");
        let secret = choose("zk://root:secret@one:2181,two/shop").unwrap();
        assert_eq!(secret, "zk://root@one:2181,two:2181/shop", "no password is told");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "embedded:/from-file\n").unwrap();
        assert_eq!(choose(&format!("file:{}", file.path().display())).unwrap(), "embedded:/from-file");
    }

    #[test]
    fn what_names_no_engine_is_refused_with_the_reason() {
        assert_eq!(choose("mysql://db").unwrap_err(), "there is no state engine \"mysql\"");
        assert_eq!(choose("embedded:").unwrap_err(), "embedded: names no directory");
        assert!(choose("etcd:///prefix").unwrap_err().starts_with("etcd address: "));
        assert!(choose("file:/does/not/exist").unwrap_err().starts_with("cannot read the engine's address"));
    }
}
