//! From bytes on the wire to the body they carry.

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use thiserror::Error;

use crate::upstream::framing::Framing;

/// Most bytes of chunk extensions and trailers a response may have.
const MAX_OVERHEAD: usize = 16 * 1024;
/// Most fields a trailer section may have.
const MAX_TRAILERS: usize = 64;

/// Decodes one body; fed with what was read, gives what can be passed on without copying.
#[derive(Debug)]
pub(crate) struct BodyDecoder {
    state: State,
}

/// ```text
///  Size ──▶ Extension ──▶ SizeEnd ──▶ Chunk ──▶ ChunkEnd ──▶ ChunkEndFeed ──▶ Size …
///    └────────────────────▲   └──▶ Trailers ──▶ Done
/// ```
#[derive(Debug)]
enum State {
    Length(u64),
    UntilClose,
    /// The size so far, and of how many digits.
    Size(u64, u8),
    /// The size, and how many bytes of its extension went by.
    Extension(u64, usize),
    SizeEnd(u64),
    /// What is left of the chunk.
    Chunk(u64),
    ChunkEnd,
    ChunkEndFeed,
    /// The trailer section so far.
    Trailers(BytesMut),
    Done,
}

/// One step of decoding.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// A part of the body.
    Data(Bytes),
    /// The fields after it; the body is over.
    Trailers(HeaderMap),
    /// The body is over.
    End,
    /// All input is used up and the body goes on.
    NeedMore,
}

/// A body that does not follow RFC 9112 §7.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum DecodeError {
    #[error("the size of a chunk is no hexadecimal number")]
    Size,
    #[error("a chunk does not end with a line break")]
    ChunkEnd,
    #[error("the trailers are no header fields")]
    Trailers,
    #[error("chunk extensions and trailers take more than {MAX_OVERHEAD} bytes")]
    Overhead,
}

impl BodyDecoder {
    pub(crate) fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Empty | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size(0, 0),
            Framing::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    /// Bytes still to come, when they were announced.
    pub(crate) const fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length(length) => Some(length),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// Whether the end of the connection is the end of the body.
    pub(crate) const fn ends_with_connection(&self) -> bool {
        matches!(self.state, State::UntilClose)
    }

    pub(crate) const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Takes as much of `input` as one step needs.
    pub(crate) fn decode(&mut self, input: &mut Bytes) -> Result<Decoded, DecodeError> {
        loop {
            if matches!(self.state, State::Done) {
                return Ok(Decoded::End);
            }
            if input.is_empty() {
                return Ok(Decoded::NeedMore);
            }
            match &mut self.state {
                State::UntilClose => return Ok(Decoded::Data(std::mem::take(input))),
                State::Length(left) => {
                    let data = take_up_to(input, left);
                    if *left == 0 {
                        self.state = State::Done;
                    }
                    return Ok(Decoded::Data(data));
                }
                State::Chunk(left) => {
                    let data = take_up_to(input, left);
                    if *left == 0 {
                        self.state = State::ChunkEnd;
                    }
                    return Ok(Decoded::Data(data));
                }
                State::Trailers(_) => {
                    if let Some(trailers) = self.gather_trailers(input)? {
                        self.state = State::Done;
                        return Ok(if trailers.is_empty() {
                            Decoded::End
                        } else {
                            Decoded::Trailers(trailers)
                        });
                    }
                }
                _ => self.take_byte(input.get_u8())?,
            }
        }
    }

    /// The parts of the chunked coding that come byte by byte.
    fn take_byte(&mut self, byte: u8) -> Result<(), DecodeError> {
        self.state = match (&self.state, byte) {
            (&State::Size(size, digits), _) if byte.is_ascii_hexdigit() && digits < 16 => {
                let digit = char::from(byte).to_digit(16).ok_or(DecodeError::Size)?;
                State::Size(size << 4 | u64::from(digit), digits + 1)
            }
            (&State::Size(size, 1..), b'\r') => State::SizeEnd(size),
            (&State::Size(size, 1..), b';' | b' ' | b'\t') => State::Extension(size, 0),
            (&State::Extension(size, _), b'\r') => State::SizeEnd(size),
            (&State::Extension(size, length), _) if byte != b'\n' && length < MAX_OVERHEAD => {
                State::Extension(size, length + 1)
            }
            (&State::SizeEnd(0), b'\n') => State::Trailers(BytesMut::new()),
            (&State::SizeEnd(size), b'\n') => State::Chunk(size),
            (State::ChunkEnd, b'\r') => State::ChunkEndFeed,
            (State::ChunkEndFeed, b'\n') => State::Size(0, 0),
            (State::ChunkEnd | State::ChunkEndFeed, _) => return Err(DecodeError::ChunkEnd),
            _ => return Err(DecodeError::Size),
        };
        Ok(())
    }

    /// Collects the trailer section until its empty line; what follows it stays in `input`.
    fn gather_trailers(&mut self, input: &mut Bytes) -> Result<Option<HeaderMap>, DecodeError> {
        let State::Trailers(section) = &mut self.state else { return Ok(None) };
        while !input.is_empty() {
            section.extend_from_slice(&[input.get_u8()]);
            if section.as_ref() == b"\r\n" {
                return Ok(Some(HeaderMap::new()));
            }
            if section.ends_with(b"\r\n\r\n") {
                return parse_trailers(section).map(Some);
            }
            if section.len() > MAX_OVERHEAD {
                return Err(DecodeError::Overhead);
            }
        }
        Ok(None)
    }
}

fn take_up_to(input: &mut Bytes, left: &mut u64) -> Bytes {
    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    let data = input.split_to(count);
    *left -= u64::try_from(count).unwrap_or(u64::MAX);
    data
}

fn parse_trailers(section: &[u8]) -> Result<HeaderMap, DecodeError> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILERS];
    let parsed = httparse::parse_headers(section, &mut fields).map_err(|_| DecodeError::Trailers)?;
    let httparse::Status::Complete((_, fields)) = parsed else { return Err(DecodeError::Trailers) };
    let mut trailers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| DecodeError::Trailers)?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| DecodeError::Trailers)?;
        if is_trailer(&name) {
            trailers.append(name, value);
        }
    }
    Ok(trailers)
}

/// Whether a field may stand after the body: not if it says how to read or route the message (RFC 9110 §6.5.1).
pub(crate) fn is_trailer(name: &HeaderName) -> bool {
    use http::header;
    const FORBIDDEN: [HeaderName; 10] = [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::HOST,
        header::CONNECTION,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::AUTHORIZATION,
        header::CONTENT_ENCODING,
        header::SET_COOKIE,
    ];
    !FORBIDDEN.contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `wire` in pieces of `step` bytes; gives the body, the trailers and what was left over.
    fn decode(
        framing: Framing,
        wire: &[u8],
        step: usize,
    ) -> Result<(Vec<u8>, HeaderMap, usize), DecodeError> {
        let mut decoder = BodyDecoder::new(framing);
        let (mut body, mut trailers, mut at) = (Vec::new(), HeaderMap::new(), 0);
        for piece in wire.chunks(step) {
            let mut input = Bytes::copy_from_slice(piece);
            at += piece.len();
            loop {
                match decoder.decode(&mut input)? {
                    Decoded::Data(data) => body.extend_from_slice(&data),
                    Decoded::Trailers(fields) => trailers = fields,
                    Decoded::End => return Ok((body, trailers, wire.len() - at + input.len())),
                    Decoded::NeedMore => break,
                }
            }
        }
        assert!(!decoder.is_done());
        Ok((body, trailers, usize::MAX))
    }

    #[test]
    fn chunks_are_the_same_however_the_bytes_arrive() {
        let wire = b"5\r\nhello\r\n6;x=\"y\"\r\n world\r\n0\r\nx-sum: 1\r\nHost: evil\r\n\r\nNEXT";
        for step in 1..=wire.len() {
            let (body, trailers, left) = decode(Framing::Chunked, wire, step).unwrap();
            assert_eq!((body.as_slice(), left), (&b"hello world"[..], 4), "{step}");
            assert_eq!((trailers.len(), trailers["x-sum"].as_bytes()), (1, &b"1"[..]));
        }
        assert_eq!(decode(Framing::Chunked, b"0\r\n\r\n", 1).unwrap().2, 0);
    }

    #[test]
    fn lengths_end_where_they_say() {
        assert_eq!(decode(Framing::Length(3), b"abcdef", 6).unwrap(), (b"abc".to_vec(), HeaderMap::new(), 3));
        assert_eq!(decode(Framing::Length(3), b"ab", 1).unwrap().2, usize::MAX);
        assert_eq!(decode(Framing::Empty, b"ab", 2).unwrap().2, 2);
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_refused() {
        for wire in [
            &b"\r\n"[..],
            b"x\r\n",
            b"5\nhello\r\n",
            b"-5\r\n",
            b"0x5\r\n",
            b";\r\n",
            b"5;a\nb\r\n",
            b"5\rhello",
            b"11111111111111111\r\n",
            b"2\r\nabc\r\n",
            b"2\r\nab\rc",
            b"0\r\nno colon\r\n\r\n",
        ] {
            assert!(decode(Framing::Chunked, wire, 1).is_err(), "{:?}", String::from_utf8_lossy(wire));
        }
    }

    proptest::proptest! {
        /// Whatever a backend sends, in whatever pieces: no panic, the same verdict, and no byte made up.
        #[test]
        fn any_bytes_decode_the_same_in_any_pieces(
            wire in proptest::collection::vec(proptest::prop_oneof![
                proptest::sample::select(b"0123456789abcdef;\r\n:x ".to_vec()),
                proptest::prelude::any::<u8>(),
            ], 0..200),
            step in 1usize..32,
        ) {
            for framing in [Framing::Chunked, Framing::Length(50), Framing::UntilClose] {
                let (whole, pieces) = (decode(framing, &wire, wire.len().max(1)), decode(framing, &wire, step));
                proptest::prop_assert_eq!(&whole, &pieces);
                if let Ok((body, ..)) = whole {
                    proptest::prop_assert!(body.len() <= wire.len());
                }
            }
        }
    }
}
