//! Finding the cloud that is meant.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

/// Where a cloud keeps its data when nobody says otherwise.
pub const DEFAULT_DATA_DIR: &str = "/var/lib/kogge";

/// The file in the data directory that a running cloud names its doors in: door → URL, and `pid`.
pub const DOORS_FILE: &str = "doors.json";

/// What a person said about which cloud is meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Locate {
    /// The API's URL; wins over the data directory.
    pub api: Option<String>,
    /// The data directory.
    pub data: Option<PathBuf>,
}

/// A cloud as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloud {
    /// The API's URL.
    pub api: String,
    /// The cloud's process, when it was found by its data directory.
    pub pid: Option<u32>,
}

/// Why no cloud was found.
#[derive(Debug, Error)]
pub enum LocateError {
    /// No cloud has named its doors there.
    #[error("no cloud runs with the data directory {}", .data.display())]
    Nowhere {
        /// The data directory.
        data: PathBuf,
    },
    /// The file is not ours to read.
    #[error("cannot read {}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The file says something else.
    #[error("{} does not name the API's door", .file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
    },
}

impl LocateError {
    /// What to do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Nowhere { .. } => {
                "start one with `kogge up --detach`, or name another with --data DIR or --api URL".to_owned()
            }
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "use the account the cloud was started with, such as with sudo, or name it with --api URL"
                    .to_owned()
            }
            Self::Unreadable { .. } | Self::Malformed { .. } => {
                "a running `kogge up` writes this file: start it again, or use --api URL".to_owned()
            }
        }
    }
}

impl Locate {
    /// The data directory that is meant.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.data.as_deref().unwrap_or_else(|| Path::new(DEFAULT_DATA_DIR))
    }

    /// Finds the cloud: by URL, else by what it wrote into its data directory.
    ///
    /// # Errors
    /// When no cloud has written there, or it cannot be read.
    pub fn find(&self) -> Result<Cloud, LocateError> {
        if let Some(api) = &self.api {
            return Ok(Cloud { api: api.clone(), pid: None });
        }
        let data = self.data_dir();
        let file = data.join(DOORS_FILE);
        let text = match std::fs::read(&file) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(LocateError::Nowhere { data: data.to_owned() });
            }
            Err(source) => return Err(LocateError::Unreadable { file, source }),
        };
        let doors: BTreeMap<String, Value> = serde_json::from_slice(&text).unwrap_or_default();
        let Some(api) = doors.get("api").and_then(Value::as_str) else {
            return Err(LocateError::Malformed { file });
        };
        let pid = doors.get("pid").and_then(Value::as_u64).and_then(|pid| u32::try_from(pid).ok());
        Ok(Cloud { api: api.to_owned(), pid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: Option<&str>, expected: Result<Cloud, &str>) {
        let dir = tempfile::tempdir().unwrap();
        if let Some(text) = file {
            std::fs::write(dir.path().join(DOORS_FILE), text).unwrap();
        }
        let locate = Locate { api: None, data: Some(dir.path().to_owned()) };
        match (locate.find(), expected) {
            (Ok(found), Ok(cloud)) => assert_eq!(found, cloud),
            (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{error}"),
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn the_data_directory_names_the_api() {
        let cloud = |pid| Cloud { api: "http://127.0.0.1:7400".into(), pid };
        check(
            Some(r#"{"api":"http://127.0.0.1:7400","router_http":"http://x","pid":7}"#),
            Ok(cloud(Some(7))),
        );
        check(Some(r#"{"api":"http://127.0.0.1:7400"}"#), Ok(cloud(None)));
        check(None, Err("no cloud runs with the data directory"));
        check(Some("{"), Err("does not name the API's door"));
        check(Some(r#"{"api":7400}"#), Err("does not name the API's door"));
    }

    #[test]
    fn a_url_wins_over_the_data_directory() {
        let locate = Locate { api: Some("http://h:1".into()), data: Some("/nowhere".into()) };
        assert_eq!(locate.find().unwrap(), Cloud { api: "http://h:1".into(), pid: None });
    }
}
