//! What is answered.

use bytes::Bytes;

use super::jute::{In, Malformed};
use super::request::{CHECK, CREATE, DELETE, SET_DATA};
use super::{Code, Shape};

/// What precedes every answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Header {
    pub(in super::super) xid: i32,
    /// The last transaction the server knows.
    pub(in super::super) zxid: i64,
    pub(in super::super) code: Code,
}

/// The answer to a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Shake {
    /// Not positive: the session asked for has ended.
    pub(in super::super) timeout_ms: i32,
    pub(in super::super) session: i64,
    pub(in super::super) password: Bytes,
}

/// The numbers of a node that this engine looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Stat {
    pub(in super::super) version: i32,
}

/// What one operation of a transaction did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum MultiDone {
    Created { path: String },
    Set(Stat),
    Done,
}

/// A successful answer, or a refused transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Answer {
    Multi(Vec<MultiDone>),
    /// Nothing happened, because of the operation at this position.
    Refused {
        index: usize,
        code: Code,
    },
    Data(Bytes, Stat),
    Stat(Stat),
    Children(Vec<String>),
    Nothing,
}

impl Header {
    /// The header, and what follows it.
    pub(in super::super) fn read(packet: Bytes) -> Result<(Self, Bytes), Malformed> {
        let mut from = In(packet);
        let header = Self { xid: from.int()?, zxid: from.long()?, code: Code(from.int()?) };
        Ok((header, from.0))
    }
}

impl Shake {
    pub(in super::super) fn read(packet: Bytes) -> Result<Self, Malformed> {
        let mut from = In(packet);
        from.int()?;
        Ok(Self { timeout_ms: from.int()?, session: from.long()?, password: from.buffer()? })
    }
}

impl Answer {
    pub(in super::super) fn read(shape: Shape, body: Bytes) -> Result<Self, Malformed> {
        let mut from = In(body);
        match shape {
            Shape::Multi => read_multi(&mut from),
            Shape::Data => Ok(Self::Data(from.buffer()?, read_stat(&mut from)?)),
            Shape::Stat => Ok(Self::Stat(read_stat(&mut from)?)),
            Shape::Children => Ok(Self::Children(from.strings()?)),
            Shape::Nothing => Ok(Self::Nothing),
        }
    }

    /// The path a watch event is about.
    pub(in super::super) fn read_event(body: Bytes) -> Result<String, Malformed> {
        let mut from = In(body);
        let (_kind, _state) = (from.int()?, from.int()?);
        from.string()
    }
}

/// czxid, mzxid, ctime, mtime, version, cversion, aversion, owner, length, children, pzxid.
fn read_stat(from: &mut In) -> Result<Stat, Malformed> {
    for _ in 0..4 {
        from.long()?;
    }
    let version = from.int()?;
    for _ in 0..2 {
        from.int()?;
    }
    from.long()?;
    for _ in 0..2 {
        from.int()?;
    }
    from.long()?;
    Ok(Stat { version })
}

/// Of a refused transaction every result is an error: 0 before the guilty operation, its reason, -2 after it.
fn read_multi(from: &mut In) -> Result<Answer, Malformed> {
    let (mut done, mut refused) = (Vec::new(), None);
    while !from.is_empty() {
        let (kind, is_last, code) = (from.int()?, from.bool()?, from.int()?);
        if is_last {
            break;
        }
        match kind {
            CREATE => done.push(MultiDone::Created { path: from.string()? }),
            SET_DATA => done.push(MultiDone::Set(read_stat(from)?)),
            DELETE | CHECK => done.push(MultiDone::Done),
            -1 => {
                from.int()?;
                if code != 0 && refused.is_none() {
                    refused = Some(Answer::Refused { index: done.len(), code: Code(code) });
                }
                done.push(MultiDone::Done);
            }
            _ => return Err(Malformed),
        }
    }
    Ok(refused.unwrap_or(Answer::Multi(done)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: i32) -> Vec<u8> {
        [&(-1i32).to_be_bytes()[..], &[0], &code.to_be_bytes(), &code.to_be_bytes()].concat()
    }

    #[test]
    fn a_refused_transaction_names_the_guilty_operation() {
        let end = [&(-1i32).to_be_bytes()[..], &[1], &(-1i32).to_be_bytes()].concat();
        let body = [error(0), error(-110), error(-2), end].concat();
        let read = Answer::read(Shape::Multi, Bytes::from(body));
        assert_eq!(read, Ok(Answer::Refused { index: 1, code: Code::NODE_EXISTS }));
    }

    #[test]
    fn a_cut_answer_is_malformed() {
        let body = Bytes::from(error(0)).slice(..9);
        assert_eq!(Answer::read(Shape::Multi, body), Err(Malformed));
        assert_eq!(Answer::read(Shape::Data, Bytes::from_static(&[0, 0, 0, 9, 1])), Err(Malformed));
    }
}
