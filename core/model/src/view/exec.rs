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

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecInput {
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
}

/// What a client is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecOutput {
    /// What the command wrote to standard output.
    Stdout(Vec<u8>),
    /// What the command wrote to standard error.
    Stderr(Vec<u8>),
    /// How the command ended; the last frame.
    Exit(Exit),
    /// Why the command could not be run, or was lost; the last frame.
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
    /// A type that nobody knows, or that does not travel in this direction.
    #[error("frames of type {kind} are not expected here")]
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

/// What travels in one direction.
pub trait Frame: Sized {
    /// Appends the frame to `out`. Longer input and output is cut into several frames.
    fn encode(&self, out: &mut Vec<u8>);

    /// Makes a frame of its type and payload.
    ///
    /// # Errors
    /// When the type does not travel in this direction, or the payload does not fit it.
    fn decode(kind: u8, payload: &[u8]) -> Result<Self, FrameError>;
}

impl Frame for ExecInput {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Stdin(bytes) => encode_chunks(1, bytes, out),
            Self::CloseStdin => encode_one(2, &[], out),
            Self::Resize { columns, rows } => {
                let ([a, b], [c, d]) = (columns.to_be_bytes(), rows.to_be_bytes());
                encode_one(3, &[a, b, c, d], out);
            }
        }
    }

    fn decode(kind: u8, payload: &[u8]) -> Result<Self, FrameError> {
        match (kind, payload) {
            (1, bytes) => Ok(Self::Stdin(bytes.to_vec())),
            (2, []) => Ok(Self::CloseStdin),
            (2, _) => Err(FrameError::Malformed { frame: "CloseStdin" }),
            (3, &[a, b, c, d]) => {
                Ok(Self::Resize { columns: u16::from_be_bytes([a, b]), rows: u16::from_be_bytes([c, d]) })
            }
            (3, _) => Err(FrameError::Malformed { frame: "Resize" }),
            (kind, _) => Err(FrameError::Unknown { kind }),
        }
    }
}

impl Frame for ExecOutput {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Stdout(bytes) => encode_chunks(4, bytes, out),
            Self::Stderr(bytes) => encode_chunks(5, bytes, out),
            Self::Exit(exit) => encode_one(6, &json(exit), out),
            Self::Failed(problem) => encode_one(7, &json(&bounded(problem)), out),
        }
    }

    fn decode(kind: u8, payload: &[u8]) -> Result<Self, FrameError> {
        let malformed = |frame| move |_| FrameError::Malformed { frame };
        match kind {
            4 => Ok(Self::Stdout(payload.to_vec())),
            5 => Ok(Self::Stderr(payload.to_vec())),
            6 => serde_json::from_slice(payload).map(Self::Exit).map_err(malformed("Exit")),
            7 => serde_json::from_slice(payload).map(Self::Failed).map_err(malformed("Failed")),
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
    pub fn next_frame<F: Frame>(&mut self) -> Result<Option<F>, FrameError> {
        let rest = &self.buffer[self.start..];
        let [kind, a, b, c, d, body @ ..] = rest else { return Ok(None) };
        let announced = u32::from_be_bytes([*a, *b, *c, *d]);
        let length = usize::try_from(announced).unwrap_or(usize::MAX);
        if length > MAX_PAYLOAD_BYTES {
            return Err(FrameError::TooLong { bytes: announced });
        }
        let Some(payload) = body.get(..length) else { return Ok(None) };
        let frame = F::decode(*kind, payload)?;
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

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 1..200)
    }

    fn input() -> impl Strategy<Value = ExecInput> {
        prop_oneof![
            bytes().prop_map(ExecInput::Stdin),
            Just(ExecInput::CloseStdin),
            (any::<u16>(), any::<u16>()).prop_map(|(columns, rows)| ExecInput::Resize { columns, rows }),
        ]
    }

    fn output() -> impl Strategy<Value = ExecOutput> {
        prop_oneof![
            bytes().prop_map(ExecOutput::Stdout),
            bytes().prop_map(ExecOutput::Stderr),
            any::<i32>().prop_map(|code| ExecOutput::Exit(Exit::Code { code })),
            any::<i32>().prop_map(|signal| ExecOutput::Exit(Exit::Signal { signal })),
            Just(ExecOutput::Exit(Exit::OutOfMemory)),
            "\\PC{0,40}".prop_map(|detail| ExecOutput::Failed(Problem { detail, ..Problem::default() })),
        ]
    }

    /// Sends the frames over a stream that is cut as `cuts` say.
    fn through<F: Frame>(sent: &[F], cuts: &[usize]) -> Vec<F> {
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
        assert!(decoder.is_between_frames());
        got
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting_of_the_stream(
            up in proptest::collection::vec(input(), 0..12),
            down in proptest::collection::vec(output(), 0..12),
            cuts in proptest::collection::vec(1usize..40, 1..40),
        ) {
            prop_assert_eq!(through(&up, &cuts), up);
            prop_assert_eq!(through(&down, &cuts), down);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut decoder = FrameDecoder::default();
            decoder.push(&bytes);
            while let Ok(Some(_)) = decoder.next_frame::<ExecInput>() {}
            decoder.push(&bytes);
            while let Ok(Some(_)) = decoder.next_frame::<ExecOutput>() {}
        }
    }

    #[test]
    fn frames_of_the_other_direction_are_refused() {
        let mut decoder = FrameDecoder::default();
        decoder.push(&[4, 0, 0, 0, 0]);
        assert_eq!(decoder.next_frame::<ExecInput>(), Err(FrameError::Unknown { kind: 4 }));
    }

    #[test]
    fn long_output_is_cut_into_frames_within_the_bound() {
        let mut wire = Vec::new();
        ExecOutput::Stdout(vec![7; MAX_PAYLOAD_BYTES * 2 + 1]).encode(&mut wire);
        let mut decoder = FrameDecoder::default();
        decoder.push(&wire);
        let mut lengths = Vec::new();
        while let Some(ExecOutput::Stdout(bytes)) = decoder.next_frame().unwrap() {
            lengths.push(bytes.len());
        }
        assert_eq!(lengths, [MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES, 1]);
    }

    #[test]
    fn a_frame_over_the_bound_is_refused_before_its_payload_comes() {
        let mut decoder = FrameDecoder::default();
        decoder.push(&[4, 0, 1, 0, 1]);
        assert_eq!(decoder.next_frame::<ExecOutput>(), Err(FrameError::TooLong { bytes: 65_537 }));
    }

    #[test]
    fn a_huge_problem_still_fits_a_frame() {
        let mut wire = Vec::new();
        let detail = "\u{1}".repeat(500_000);
        ExecOutput::Failed(Problem { detail: detail.clone(), hint: Some(detail), ..Problem::default() })
            .encode(&mut wire);
        assert!(wire.len() <= MAX_PAYLOAD_BYTES + HEADER_BYTES);
    }
}
