//! The crates of the workspace and what they import, as cargo sees them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;

/// All crates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct House {
    pub(crate) packages: Vec<Package>,
}

/// One crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Its folder, relative to the workspace: `core/model`.
    pub(crate) room: String,
    pub(crate) description: String,
    pub(crate) imports: Vec<Import>,
}

/// A crate that a crate imports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) name: String,
    /// Its folder, if it is ours.
    pub(crate) room: Option<String>,
    /// Only its tests import it.
    pub(crate) is_for_tests: bool,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<RawPackage>,
}

#[derive(Deserialize)]
struct RawPackage {
    name: String,
    manifest_path: String,
    description: Option<String>,
    dependencies: Vec<RawDependency>,
}

#[derive(Deserialize)]
struct RawDependency {
    name: String,
    kind: Option<String>,
    path: Option<String>,
}

impl House {
    /// Asks cargo.
    pub(crate) fn of(root: &Path) -> anyhow::Result<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
            .arg(root.join("Cargo.toml"))
            .output()
            .context("cannot run cargo metadata")?;
        if !output.status.success() {
            bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Self::parse(root, &output.stdout)
    }

    fn parse(root: &Path, json: &[u8]) -> anyhow::Result<Self> {
        let metadata: Metadata =
            serde_json::from_slice(json).context("cargo metadata answered something else")?;
        let room_of = |folder: &Path| -> anyhow::Result<String> {
            let inside =
                folder.strip_prefix(root).with_context(|| format!("{} is outside", folder.display()))?;
            Ok(inside.to_string_lossy().into_owned())
        };
        let mut packages = Vec::new();
        for raw in metadata.packages {
            let folder = Path::new(&raw.manifest_path).parent().context("a manifest lies in a folder")?;
            let mut imports = Vec::new();
            for dependency in raw.dependencies {
                let room = dependency.path.map(|path| room_of(Path::new(&path))).transpose()?;
                let is_for_tests = dependency.kind.as_deref() == Some("dev");
                imports.push(Import { name: dependency.name, room, is_for_tests });
            }
            let description = raw.description.unwrap_or_default();
            packages.push(Package { name: raw.name, room: room_of(folder)?, description, imports });
        }
        packages.sort_by(|a, b| a.room.cmp(&b.room));
        Ok(Self { packages })
    }
}

/// A crate for the tests of the rules.
#[cfg(test)]
pub(crate) fn package(room: &str, imports: &[&str], imports_for_tests: &[&str]) -> Package {
    let import = |is_for_tests: bool| {
        move |name: &&str| {
            // What has a slash is a folder of ours, all else is foreign.
            let room = name.contains('/').then(|| (*name).to_owned());
            Import { name: name.replace('/', "-"), room, is_for_tests }
        }
    };
    let all = imports.iter().map(import(false)).chain(imports_for_tests.iter().map(import(true)));
    let description = "Some crate of a test".to_owned();
    Package { name: room.replace('/', "-"), room: room.to_owned(), description, imports: all.collect() }
}
