//! A command run inside a running instance: the request, and the frames on the upgraded connection.
//!
//! ```text
//!  type (1 byte) │ length of the payload (4 bytes, big endian, at most 64 KiB) │ payload
//!  1 Stdin     bytes                       client → server
//!  2 CloseStdin                            client → server
//!  3 Resize    columns, rows (2 bytes each) client → server
//!  4 Stdout    bytes                       server → client
//!  5 Stderr    bytes                       server → client
//!  6 Exit      JSON of `task::Exit`        server → client, the last frame
//!  7 Failed    JSON of `Problem`           server → client, the last frame
//! ```

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::problem::Problem;
use crate::task::Exit;

/// The protocol's name in the `Upgrade` header.
pub const PROTOCOL: &str = "kogge-exec/1";

/// The longest payload of one frame.
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024;

const HEADER_BYTES: usize = 5;

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExecRequest {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Whether it gets a terminal of its own; standard error then comes with standard output.
    #[serde(default)]
    pub is_tty: bool,
    /// Whether standard input is sent; without it the command reads its end at once.
    #[serde(default)]
    pub is_interactive: bool,
    /// The terminal's first size.
    #[serde(default)]
    pub columns: Option<u16>,
    /// The terminal's first size.
    #[serde(default)]
    pub rows: Option<u16>,
    /// `KEY=VALUE` on top of the instance's environment.
    #[serde(default)]
    pub env: Vec<String>,
    /// `user`, `uid`, `user:group` or `uid:gid`; the instance's own when left out.
    #[serde(default)]
    pub user: Option<String>,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Input for the command.
    Stdin(Vec<u8>),
    /// There is no more input.
    CloseStdin,
    /// The terminal's new size.
    Resize {
        /// Characters across.
        columns: u16,
        /// Lines.
        rows: u16,
    },
    /// What the command wrote to standard output.
    Stdout(Vec<u8>),
    /// What the command wrote to standard error.
    Stderr(Vec<u8>),
    /// How the command ended.
    Exit(Exit),
    /// Why the command could not be run, or was lost.
    Failed(Problem),
}

/// Bytes that are no frame; nothing after them can be understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Longer than the bound.
    #[error("a frame of {bytes} bytes is longer than 64 KiB")]
    TooLong {
        /// The announced length.
        bytes: u32,
    },
    /// A type nobody knows.
    #[error("frames of type {kind} are not known")]
    Unknown {
        /// The type byte.
        kind: u8,
    },
    /// A payload that does not fit its type.
    #[error("the payload of a {frame} frame is malformed")]
    Malformed {
        /// The type's name.
        frame: &'static str,
    },
}

impl Frame {
    /// Appends the frame to `out`. Longer input and output is cut into several frames.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Stdin(bytes) => encode_chunks(1, bytes, out),
            Self::CloseStdin => encode_one(2, &[], out),
            Self::Resize { columns, rows } => {
                let [a, b] = columns.to_be_bytes();
                let [c, d] = rows.to_be_bytes();
                encode_one(3, &[a, b, c, d], out);
            }
            Self::Stdout(bytes) => encode_chunks(4, bytes, out),
            Self::Stderr(bytes) => encode_chunks(5, bytes, out),
            Self::Exit(exit) => encode_one(6, &json(exit), out),
            Self::Failed(problem) => encode_one(7, &json(&bounded(problem)), out),
        }
    }

    fn decode(kind: u8, payload: Vec<u8>) -> Result<Self, FrameError> {
        let malformed = |frame| FrameError::Malformed { frame };
        match kind {
            1 => Ok(Self::Stdin(payload)),
            2 if payload.is_empty() => Ok(Self::CloseStdin),
            2 => Err(malformed("CloseStdin")),
            3 => match payload[..] {
                [a, b, c, d] => {
                    Ok(Self::Resize { columns: u16::from_be_bytes([a, b]), rows: u16::from_be_bytes([c, d]) })
                }
                _ => Err(malformed("Resize")),
            },
            4 => Ok(Self::Stdout(payload)),
            5 => Ok(Self::Stderr(payload)),
            6 => serde_json::from_slice(&payload).map(Self::Exit).map_err(|_| malformed("Exit")),
            7 => serde_json::from_slice(&payload).map(Self::Failed).map_err(|_| malformed("Failed")),
            kind => Err(FrameError::Unknown { kind }),
        }
    }
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("frames are plain data with text keys")
}

/// A problem whose JSON surely fits a frame: each character takes at most six bytes there.
fn bounded(problem: &Problem) -> Problem {
    let cut = |text: &str| text.chars().take(2_000).collect::<String>();
    Problem {
        kind: cut(&problem.kind),
        title: cut(&problem.title),
        status: problem.status,
        detail: cut(&problem.detail),
        hint: problem.hint.as_deref().map(cut),
        faults: Vec::new(),
    }
}

fn encode_chunks(kind: u8, bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.chunks(MAX_PAYLOAD_BYTES) {
        encode_one(kind, chunk, out);
    }
}

fn encode_one(kind: u8, payload: &[u8], out: &mut Vec<u8>) {
    assert!(payload.len() <= MAX_PAYLOAD_BYTES, "a frame's payload is bounded");
    let length = u32::try_from(payload.len()).expect("the bound fits 32 bits");
    out.push(kind);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Makes frames of bytes as they arrive; never holds more than one unfinished frame beyond what was pushed.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    buffer: Vec<u8>,
    start: usize,
}

impl FrameDecoder {
    /// Adds bytes as they were read.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, none if more bytes are needed.
    ///
    /// # Errors
    /// When the bytes are no frame.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let rest = &self.buffer[self.start..];
        let [kind, a, b, c, d, body @ ..] = rest else { return Ok(None) };
        let announced = u32::from_be_bytes([*a, *b, *c, *d]);
        let length = usize::try_from(announced).unwrap_or(usize::MAX);
        if length > MAX_PAYLOAD_BYTES {
            return Err(FrameError::TooLong { bytes: announced });
        }
        let Some(payload) = body.get(..length) else { return Ok(None) };
        let frame = Frame::decode(*kind, payload.to_vec())?;
        self.start += HEADER_BYTES + length;
        Ok(Some(frame))
    }

    /// Whether the connection may end here: no frame is cut in two.
    #[must_use]
    pub const fn is_between_frames(&self) -> bool {
        self.start == self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames() -> impl Strategy<Value = Frame> {
        let bytes = || proptest::collection::vec(any::<u8>(), 1..200);
        prop_oneof![
            bytes().prop_map(Frame::Stdin),
            Just(Frame::CloseStdin),
            (any::<u16>(), any::<u16>()).prop_map(|(columns, rows)| Frame::Resize { columns, rows }),
            bytes().prop_map(Frame::Stdout),
            bytes().prop_map(Frame::Stderr),
            any::<i32>().prop_map(|code| Frame::Exit(Exit::Code { code })),
            any::<i32>().prop_map(|signal| Frame::Exit(Exit::Signal { signal })),
            Just(Frame::Exit(Exit::OutOfMemory)),
            "\\PC{0,40}".prop_map(|detail| Frame::Failed(Problem { detail, ..Problem::default() })),
        ]
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting_of_the_stream(
            sent in proptest::collection::vec(frames(), 0..12),
            cuts in proptest::collection::vec(1usize..40, 1..40),
        ) {
            let mut wire = Vec::new();
            sent.iter().for_each(|frame| frame.encode(&mut wire));
            let (mut decoder, mut got, mut rest) = (FrameDecoder::default(), Vec::new(), &wire[..]);
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                decoder.push(now);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    got.push(frame);
                }
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert!(decoder.is_between_frames());
            prop_assert_eq!(got, sent);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut decoder = FrameDecoder::default();
            decoder.push(&bytes);
            while let Ok(Some(_)) = decoder.next_frame() {}
        }
    }

    #[test]
    fn long_output_is_cut_into_frames_within_the_bound() {
        let mut wire = Vec::new();
        Frame::Stdout(vec![7; MAX_PAYLOAD_BYTES * 2 + 1]).encode(&mut wire);
        let mut decoder = FrameDecoder::default();
        decoder.push(&wire);
        let mut lengths = Vec::new();
        while let Some(Frame::Stdout(bytes)) = decoder.next_frame().unwrap() {
            lengths.push(bytes.len());
        }
        assert_eq!(lengths, [MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES, 1]);
    }

    #[test]
    fn a_frame_over_the_bound_is_refused_before_its_payload_comes() {
        let mut decoder = FrameDecoder::default();
        decoder.push(&[4, 0, 1, 0, 1]);
        assert_eq!(decoder.next_frame(), Err(FrameError::TooLong { bytes: 65_537 }));
    }

    #[test]
    fn a_huge_problem_still_fits_a_frame() {
        let mut wire = Vec::new();
        let detail = "\u{1}".repeat(500_000);
        Frame::Failed(Problem { detail: detail.clone(), hint: Some(detail), ..Problem::default() })
            .encode(&mut wire);
        assert!(wire.len() <= MAX_PAYLOAD_BYTES + HEADER_BYTES);
    }
}
