//! Looks whether the disk has room for more tasks, and tells control when it has not (`kogge node list`).

use std::path::PathBuf;
use std::time::Duration;

use kogge_model::reason::Reason;
use kogge_model::resources::Bytes;
use kogge_node::Input;
use tokio_util::sync::CancellationToken;

use super::reactor::Mailbox;
use crate::machine;
use crate::preconditions::LEAST_FREE_DISK;
use crate::reserve::Reserve;

const PERIOD: Duration = Duration::from_secs(1);

/// So much must be free before a machine that was closed takes tasks again.
const ENOUGH: Bytes = Bytes(2 * LEAST_FREE_DISK.0);

/// Runs until `token` is cancelled. The disk is that of `data`. What records have taken of the reserve is put back when
/// there is room.
pub(crate) async fn run(data: PathBuf, reserve: Reserve, mailbox: Mailbox, token: CancellationToken) {
    let mut is_closed = false;
    loop {
        // What cannot be asked is no news.
        if let Ok(free) = machine::free_disk(&data)
            && is_too_full(free, is_closed) != is_closed
        {
            is_closed = !is_closed;
            let why = is_closed.then(|| too_full(free, &data));
            mailbox.tell(Input::Closed { why }).await;
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

const fn is_too_full(free: Bytes, is_closed: bool) -> bool {
    free.0 < if is_closed { ENOUGH.0 } else { LEAST_FREE_DISK.0 }
}

fn too_full(free: Bytes, data: &std::path::Path) -> Reason {
    Reason::new(format!("only {free} are free for {}", data.display()))
        .with_hint(format!("make room: {ENOUGH} are enough"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_was_closed_needs_more_room_to_be_open_again() {
        for (mib, was_closed, is_closed) in
            [(63, false, true), (64, false, false), (64, true, true), (127, true, true), (128, true, false)]
        {
            assert_eq!(is_too_full(Bytes::mib(mib), was_closed), is_closed, "{mib} MiB, {was_closed}");
        }
    }
}
