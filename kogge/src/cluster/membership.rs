//! What a member keeps of its membership: who it is, and where the servers are.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use futures_util::future::BoxFuture;
use kogge_cli::{AgentArgs, Failure};
use kogge_link::identity::{Identity, IdentityPem, PrivateKey};
use kogge_link::{Keeper, ServerAddress};
use kogge_model::reason::Reason;
use serde::{Deserialize, Serialize};

const FILE: &str = "membership.json";
const KEY_FILE: &str = "key.pem";

/// As it stands in the data directory, readable by its owner only.
#[derive(Clone, Serialize, Deserialize)]
struct Document {
    identity: IdentityPem,
    servers: Vec<ServerAddress>,
    #[serde(default)]
    settings: Settings,
}

/// What was said when joining, for the starts that say nothing else.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) name: Option<String>,
    pub(super) advertise: Option<std::net::IpAddr>,
    #[serde(default)]
    pub(super) attributes: Vec<(String, String)>,
}

impl Settings {
    /// These, with what `args` say instead.
    pub(super) fn overlaid(mut self, args: &AgentArgs) -> Self {
        self.name = args.name.clone().or(self.name);
        self.advertise = args.advertise.or(self.advertise);
        if !args.attributes.is_empty() {
            self.attributes.clone_from(&args.attributes);
        }
        self
    }
}

/// A membership on disk.
pub(super) struct Membership {
    path: PathBuf,
    document: Mutex<Document>,
}

impl Membership {
    /// That of the data directory, if it is a member's.
    pub(super) fn find(data: &Path) -> Result<Option<Self>, Failure> {
        let path = data.join(FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::new(format!("cannot read {}: {error}", path.display()))),
        };
        let document = serde_json::from_slice(&text).map_err(|error| {
            Failure::new(format!("{} is damaged: {error}", path.display()))
                .with_hint("restore it from a backup, or remove it and join again")
        })?;
        Ok(Some(Self { path, document: Mutex::new(document) }))
    }

    /// Makes `data` a member's.
    pub(super) fn found(
        data: &Path,
        identity: &Identity,
        servers: &[ServerAddress],
        settings: Settings,
    ) -> Result<Self, Failure> {
        let document = Document { identity: identity.to_pem(), servers: servers.to_vec(), settings };
        let path = data.join(FILE);
        write(&path, &document)
            .map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))?;
        Ok(Self { path, document: Mutex::new(document) })
    }

    pub(super) fn identity(&self) -> Result<Identity, Failure> {
        let pem = self.document().identity;
        Identity::from_pem(&pem).map_err(|error| {
            Failure::new(format!("{} cannot be used: {error}", self.path.display()))
                .with_hint("join again with a new token and a new data directory")
        })
    }

    pub(super) fn servers(&self) -> Vec<ServerAddress> {
        self.document().servers
    }

    pub(super) fn settings(&self) -> Settings {
        self.document().settings
    }

    /// This data directory is nobody's any more. A key that a crash leaves behind serves the next join.
    pub(super) fn forget(self) -> Result<(), Failure> {
        let key = self.path.with_file_name(KEY_FILE);
        for path in [&self.path, &key] {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Failure::new(format!("cannot remove {}: {error}", path.display())));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn document(&self) -> Document {
        self.document.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Document)) -> Result<(), Reason> {
        let mut document = self.document.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut document);
        write(&self.path, &document)
            .map_err(|error| Reason::new(format!("cannot write {}: {error}", self.path.display())))
    }
}

/// The key that a machine joins with: kept before, so that a lost answer can be asked for again.
pub(super) fn key(data: &Path) -> Result<PrivateKey, Failure> {
    let path = data.join(KEY_FILE);
    let cannot =
        |error: &dyn std::fmt::Display| Failure::new(format!("cannot use {}: {error}", path.display()));
    match std::fs::read_to_string(&path) {
        Ok(pem) => PrivateKey::from_pem(&pem).map_err(|error| cannot(&error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = PrivateKey::generate().map_err(|error| cannot(&error))?;
            replace(&path, key.to_pem().as_bytes()).map_err(|error| cannot(&error))?;
            Ok(key)
        }
        Err(error) => Err(cannot(&error)),
    }
}

fn write(path: &Path, document: &Document) -> std::io::Result<()> {
    replace(path, &serde_json::to_vec(document)?)
}

/// Replaces a file that only its owner reads, durably: the old or the new is there, never half.
pub(super) fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file =
        std::fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    match path.parent() {
        Some(directory) => std::fs::File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

impl Keeper for Membership {
    fn keep_identity<'a>(&'a self, identity: &'a Identity) -> BoxFuture<'a, Result<(), Reason>> {
        Box::pin(async move { self.change(|document| document.identity = identity.to_pem()) })
    }

    fn keep_servers<'a>(&'a self, servers: &'a [ServerAddress]) -> BoxFuture<'a, Result<(), Reason>> {
        Box::pin(async move { self.change(|document| document.servers = servers.to_vec()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaving_is_finished_after_a_crash_in_the_middle() {
        for remains in [&[FILE, KEY_FILE][..], &[FILE], &[KEY_FILE], &[]] {
            let directory = tempfile::tempdir().unwrap();
            for file in remains {
                std::fs::write(directory.path().join(file), "").unwrap();
            }
            let identity =
                IdentityPem { key: String::new(), certificate: String::new(), authority: String::new() };
            let document = Document { identity, servers: Vec::new(), settings: Settings::default() };
            let member = Membership { path: directory.path().join(FILE), document: Mutex::new(document) };
            member.forget().unwrap();
            assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        }
    }
}
