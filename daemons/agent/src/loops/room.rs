//! Looks whether the disk has room for more tasks, and tells control when it has not (`kogge node list`).

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kogge_model::reason::Reason;
use kogge_model::resources::Bytes;
use kogge_node::Input;
use tokio_util::sync::CancellationToken;

use super::reactor::Mailbox;
use crate::machine;
use crate::preconditions::{LEAST_FREE_DISK, LEAST_FREE_FILES};
use crate::reserve::Reserve;

const PERIOD: Duration = Duration::from_secs(1);

/// So many times as much must be free before a machine that was closed takes tasks again.
const ENOUGH: u64 = 2;

/// What is free on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    bytes: Bytes,
    /// More files; none where they are not counted.
    files: Option<u64>,
}

/// Runs until `token` is cancelled. The disk is that of `data`. What records have taken of the reserve is put back when
/// there is room.
pub(crate) async fn run(data: PathBuf, reserve: Reserve, mailbox: Mailbox, token: CancellationToken) {
    let mut is_closed = false;
    loop {
        // What cannot be asked is no news.
        if let Ok(room) = Room::of(&data) {
            let lack = room.lack(if is_closed { ENOUGH } else { 1 });
            if lack.is_some() != is_closed {
                is_closed = lack.is_some();
                let why = lack.map(|lack| lack.about(&data));
                mailbox.tell(Input::Closed { why }).await;
            }
        }
        if !is_closed && reserve.is_short() {
            let _ = reserve.fill();
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = token.cancelled() => return,
        }
    }
}

impl Room {
    fn of(data: &Path) -> io::Result<Self> {
        Ok(Self { bytes: machine::free_disk(data)?, files: machine::free_files(data)? })
    }

    /// What there is too little of, when so many times the least is wanted.
    fn lack(self, times: u64) -> Option<Lack> {
        if self.bytes.0 < times * LEAST_FREE_DISK.0 {
            return Some(Lack::Bytes(self.bytes));
        }
        self.files.filter(|files| *files < times * LEAST_FREE_FILES).map(Lack::Files)
    }
}

/// What there is too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lack {
    Bytes(Bytes),
    Files(u64),
}

impl Lack {
    fn about(self, data: &Path) -> Reason {
        let data = data.display();
        let (text, enough) = match self {
            Self::Bytes(free) => {
                (format!("only {free} are free for {data}"), Bytes(ENOUGH * LEAST_FREE_DISK.0).to_string())
            }
            Self::Files(free) => (
                format!("only {free} more files are free for {data}: its file system has no more inodes"),
                format!("{} files", ENOUGH * LEAST_FREE_FILES),
            ),
        };
        Reason::new(text).with_hint(format!("make room: {enough} are enough"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lack(mib: u64, files: Option<u64>, was_closed: bool) -> Option<Lack> {
        Room { bytes: Bytes::mib(mib), files }.lack(if was_closed { ENOUGH } else { 1 })
    }

    #[test]
    fn a_machine_that_was_closed_needs_more_room_to_be_open_again() {
        for (mib, was_closed, is_closed) in
            [(63, false, true), (64, false, false), (64, true, true), (127, true, true), (128, true, false)]
        {
            let lack = lack(mib, Some(1 << 20), was_closed);
            assert_eq!(lack, is_closed.then_some(Lack::Bytes(Bytes::mib(mib))), "{mib} MiB");
        }
    }

    #[test]
    fn files_may_be_what_there_are_too_few_of() {
        for (files, was_closed, is_closed) in
            [(1_023, false, true), (1_024, false, false), (2_047, true, true), (2_048, true, false)]
        {
            let lack = lack(500, Some(files), was_closed);
            assert_eq!(lack, is_closed.then_some(Lack::Files(files)), "{files} files");
        }
        assert_eq!(lack(500, None, true), None);
    }
}
