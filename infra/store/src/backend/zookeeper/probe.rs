//! What a member says about itself: the four-letter word `srvr`, the one that is allowed by default.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::config::Host;
use super::dial::Dialer;

const PATIENCE: Duration = Duration::from_millis(1000);
/// Persistent watches and much else came with 3.6.
const OLDEST: (u32, u32) = (3, 6);
const MAX_ANSWER: u64 = 64 * 1024;

/// A member's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// As it prints it, such as `3.8.0`.
    pub(super) version: String,
    pub(super) is_leader: bool,
}

impl Member {
    /// Whether this engine cannot work with it. A version that does not read as one is believed to be new.
    pub(super) fn is_too_old(&self) -> bool {
        let mut numbers = self.version.split('.').map(|part| part.parse::<u32>().ok());
        match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(major), Some(minor)) => (major, minor) < OLDEST,
            _ => false,
        }
    }
}

/// Asks a member; `None` when it does not answer, or is not allowed to.
pub(super) async fn ask(dialer: &Dialer, host: &Host) -> Option<Member> {
    let asking = async {
        let mut wire = dialer.dial(host).await.ok()?;
        wire.write_all(b"srvr").await.ok()?;
        wire.flush().await.ok()?;
        let mut answer = Vec::new();
        // A member that closes without TLS's farewell has answered all the same.
        let _ = wire.take(MAX_ANSWER).read_to_end(&mut answer).await;
        read(&String::from_utf8_lossy(&answer))
    };
    tokio::time::timeout(PATIENCE, asking).await.ok().flatten()
}

fn read(answer: &str) -> Option<Member> {
    let field = |name: &str| answer.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let version = field("Zookeeper version:")?;
    let version = version.split(['-', ',', ' ']).next().unwrap_or(version).to_owned();
    Some(Member { version, is_leader: field("Mode:") == Some("leader") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_and_role_are_read() {
        let answer = "Zookeeper version: 3.8.0-${mvngit.commit.id}, built on 2025-02-26 12:45 UTC\nLatency min/avg/max: 0/0.0/0\nMode: leader\nNode count: 5\n";
        assert_eq!(read(answer), Some(Member { version: "3.8.0".into(), is_leader: true }));
        assert_eq!(read("srvr is not executed because it is not in the whitelist.\n"), None);
    }

    #[test]
    fn versions_before_persistent_watches_are_too_old() {
        let old = |version: &str| Member { version: version.into(), is_leader: false }.is_too_old();
        let found: Vec<bool> =
            ["3.4.13", "3.5.9", "3.6.0", "3.8.0", "3.10.1", "4.0", "odd"].map(old).to_vec();
        assert_eq!(found, [true, true, false, false, false, false, false]);
    }
}
