//! A program run inside a task, with its streams in the frames of [`kogge_model::view::exec`].

use bytes::Bytes;
use kogge_model::view::exec::{ExecInput, ExecOutput, Frame, FrameDecoder, FrameError};
use tokio::sync::mpsc;

/// A program running inside a task. Dropping both ends kills it.
#[derive(Debug)]
pub struct ExecLine {
    /// To the program. When full the sender waits.
    pub input: mpsc::Sender<ExecInput>,
    /// From the program; ends after its exit code. When full the program waits.
    pub output: mpsc::Receiver<ExecOutput>,
}

/// One message's bytes.
pub(crate) fn write_frames(frame: &impl Frame) -> Bytes {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes.into()
}

/// The messages that are whole now.
pub(crate) fn read_frames<F: Frame>(decoder: &mut FrameDecoder, bytes: &[u8]) -> Result<Vec<F>, FrameError> {
    decoder.push(bytes);
    let mut frames = Vec::new();
    while let Some(frame) = decoder.next_frame()? {
        frames.push(frame);
    }
    Ok(frames)
}
