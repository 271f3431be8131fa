//! Which cluster the servers of this data directory belong to: one of an emptied or foreign state does not begin anew by
//! itself (G4).

use std::path::{Path, PathBuf};

use kogge_cli::Failure;
use kogge_model::id::ClusterId;
use serde::{Deserialize, Serialize};

use super::membership::replace;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Document {
    cluster: ClusterId,
}

/// What the data directory knows of it.
#[derive(Debug)]
pub(crate) struct Belonging {
    file: PathBuf,
    known: Option<Document>,
}

impl Belonging {
    /// As it stands in `file`, if it is there.
    ///
    /// # Errors
    /// When the file cannot be read, or is damaged.
    pub(crate) fn find(file: &Path) -> Result<Self, Failure> {
        let known = match std::fs::read(file) {
            Ok(text) => Some(serde_json::from_slice(&text).map_err(|error| {
                Failure::new(format!("{} is damaged: {error}", file.display()))
                    .with_hint("remove it, if the state that --state names is the right one")
            })?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Failure::new(format!("cannot read {}: {error}", file.display()))),
        };
        Ok(Self { file: file.to_owned(), known })
    }

    /// The cluster, if a server of it ran here before.
    pub(crate) fn cluster(&self) -> Option<ClusterId> {
        self.known.as_ref().map(|known| known.cluster.clone())
    }

    /// From now on it belongs to this one. A server whose disk is full serves all the same.
    pub(crate) fn note(self, cluster: &ClusterId) {
        let document = Document { cluster: cluster.clone() };
        if self.known.as_ref() == Some(&document) {
            return;
        }
        let text = serde_json::to_vec(&document).expect("an id is plain data");
        if let Err(error) = replace(&self.file, &text) {
            tracing::warn!(%error, file = %self.file.display(), "whose server this is could not be kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_found_and_damage_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("cluster.json");
        let fresh = Belonging::find(&file).unwrap();
        assert_eq!(fresh.cluster(), None);
        fresh.note(&ClusterId::new("north"));
        assert_eq!(Belonging::find(&file).unwrap().cluster(), Some(ClusterId::new("north")));
        std::fs::write(&file, "{").unwrap();
        assert!(Belonging::find(&file).unwrap_err().to_string().contains("is damaged"));
    }
}
