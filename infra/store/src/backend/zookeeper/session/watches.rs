//! Who waits for what to change.

use std::collections::BTreeMap;

use tokio::sync::{mpsc, oneshot};

use super::super::wire::{Answer, Code};
use super::{Failure, Fired};

/// Someone who waits.
#[derive(Debug)]
pub(super) enum Watcher {
    /// For the next change of one node.
    Once { path: String, fired: oneshot::Sender<()> },
    /// For all changes under a path.
    Tree { path: String, changes: mpsc::Sender<String> },
}

/// All who wait, on one connection.
#[derive(Debug, Default)]
pub(super) struct Watches {
    once: BTreeMap<String, Vec<oneshot::Sender<()>>>,
    trees: Vec<(String, mpsc::Sender<String>)>,
}

impl Watcher {
    pub(super) fn once(path: &str) -> (Self, Fired) {
        let (fired, receiver) = oneshot::channel();
        (Self::Once { path: path.to_owned(), fired }, receiver)
    }
}

impl Watches {
    /// After the server's answer: it watches now, unless it refused.
    pub(super) fn add(&mut self, watcher: Watcher, answer: &Result<Answer, Failure>) {
        let watches = match answer {
            Ok(_) => true,
            // A look at a node that is not there waits for its creation; a read does not.
            Err(Failure::Refused { code: Code::NO_NODE, .. }) => matches!(watcher, Watcher::Once { .. }),
            Err(_) => false,
        };
        match watcher {
            _ if !watches => {}
            Watcher::Once { path, fired } => {
                let waiting = self.once.entry(path).or_default();
                // Who went away in the meantime need not be kept.
                waiting.retain(|fired| !fired.is_closed());
                waiting.push(fired);
            }
            Watcher::Tree { path, changes } => self.trees.push((path, changes)),
        }
    }

    /// Something happened to the node at `path`.
    pub(super) fn fire(&mut self, path: &str) {
        for fired in self.once.remove(path).unwrap_or_default() {
            let _ = fired.send(());
        }
        self.trees.retain(|(root, changes)| {
            let inside = path
                .strip_prefix(root.as_str())
                .is_some_and(|rest| matches!(rest.chars().next(), None | Some('/')));
            // One that does not look for so long must look at everything again: it is told by the end.
            !inside || changes.try_send(path.to_owned()).is_ok()
        });
    }

    /// The connection is gone: everybody looks again.
    pub(super) fn clear(&mut self) {
        self.once.clear();
        self.trees.clear();
    }
}
