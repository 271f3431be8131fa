//! Which node holds what.
//!
//! ```text
//! <root>/head                          where the store stands: every commit changes it, so only one can win
//! <root>/log/<block>/<index>           what was committed, in order; a block has at most 4096 records
//! <root>/snapshots/<name>/<part>       everything at one index, in pieces
//! <root>/leases/<lease>                the last sign of life of a lease, as the node's version
//! <root>/elections/<name>/c-<guid>-<n> candidates, each gone with its session
//! <root>/janitors/c-<guid>-<n>         the same, of those who would look after leases and the log
//! <root>/barrier                       written to learn what is the newest
//! <root>/turn                          written by a writer that others keep from writing
//! ```

use crate::LeaseId;

/// Records in one block: the answer that lists them stays far below ZooKeeper's packet.
pub(super) const BLOCK: u64 = 4096;

/// Paths under one root.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    root: String,
}

impl Layout {
    pub(super) fn new(root: &str) -> Self {
        Self { root: root.to_owned() }
    }

    /// Every node that must exist before the head does, parents first.
    pub(super) fn foundations(&self) -> Vec<String> {
        let ends: Vec<usize> = self.root.match_indices('/').map(|(at, _)| at).skip(1).collect();
        let above = ends.into_iter().chain([self.root.len()]).map(|end| self.root[..end].to_owned());
        let below = ["log", "snapshots", "leases", "elections", "janitors", "barrier", "turn"]
            .map(|name| self.at(name));
        above.chain(below).collect()
    }

    pub(super) fn head(&self) -> String {
        self.at("head")
    }

    pub(super) fn barrier(&self) -> String {
        self.at("barrier")
    }

    pub(super) fn turn(&self) -> String {
        self.at("turn")
    }

    pub(super) fn log(&self) -> String {
        self.at("log")
    }

    pub(super) fn block(&self, block: u64) -> String {
        format!("{}/log/{block:010x}", self.root)
    }

    pub(super) fn record(&self, index: u64) -> String {
        format!("{}/log/{:010x}/{index:013x}", self.root, index / BLOCK)
    }

    pub(super) fn snapshots(&self) -> String {
        self.at("snapshots")
    }

    pub(super) fn snapshot(&self, name: u128) -> String {
        format!("{}/snapshots/{name:032x}", self.root)
    }

    pub(super) fn part(&self, name: u128, part: u32) -> String {
        format!("{}/snapshots/{name:032x}/{part:06}", self.root)
    }

    pub(super) fn leases(&self) -> String {
        self.at("leases")
    }

    pub(super) fn lease(&self, lease: LeaseId) -> String {
        format!("{}/leases/{:016x}", self.root, lease.get())
    }

    /// The lease whose node is at `path`.
    pub(super) fn lease_at(&self, path: &str) -> Option<LeaseId> {
        let name = path.strip_prefix(&self.leases())?.strip_prefix('/')?;
        u64::from_str_radix(name, 16).ok().map(LeaseId::new)
    }

    pub(super) fn janitors(&self) -> String {
        self.at("janitors")
    }

    fn elections(&self) -> String {
        self.at("elections")
    }

    /// Where the candidates of an election stand; its name may be any text.
    pub(super) fn election(&self, name: &str) -> String {
        let mut path = self.elections();
        path.push('/');
        for byte in name.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => path.push(char::from(byte)),
                _ => path.push_str(&format!("%{byte:02x}")),
            }
        }
        path
    }

    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_foundations_begin_with_every_part_of_the_root() {
        let paths = Layout::new("/a/b").foundations();
        assert_eq!(paths[..4], ["/a", "/a/b", "/a/b/log", "/a/b/snapshots"].map(str::to_owned));
    }

    #[test]
    fn names_of_elections_are_one_part_of_a_path_and_never_the_same() {
        let layout = Layout::new("/r");
        assert_eq!(layout.election("a/b"), "/r/elections/a%2fb");
        assert_eq!(layout.election(".."), "/r/elections/%2e%2e");
        assert_ne!(layout.election("a%2fb"), layout.election("a/b"));
    }

    #[test]
    fn a_lease_is_found_by_its_path() {
        let (layout, lease) = (Layout::new("/r"), LeaseId::new(77));
        assert_eq!(layout.lease_at(&layout.lease(lease)), Some(lease));
        assert_eq!(layout.lease_at("/r/leases"), None);
    }
}
