//! Standard input as it comes, without holding up the end of the program.

use std::io::Read as _;

use tokio::sync::mpsc;

/// Bytes of standard input. The reader waits when nobody takes them: two chunks at most are on their way.
///
/// A thread of its own and not the runtime's, because a read from a terminal cannot be called off and the runtime
/// would wait for it when the command has long ended.
pub(crate) fn chunks() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(2);
    std::thread::spawn(move || {
        let mut buffer = [0u8; 16 * 1024];
        let mut input = std::io::stdin().lock();
        // The end of input and a closed input are the same to the command.
        while let Ok(count @ 1..) = input.read(&mut buffer) {
            if sender.blocking_send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}
