//! What is asked.

use bytes::Bytes;

use super::jute::Out;
use super::{XID_AUTH, XID_PING};

/// Numbers of the operations (`ZooDefs.OpCode`).
pub(super) const CREATE: i32 = 1;
pub(super) const DELETE: i32 = 2;
const EXISTS: i32 = 3;
const GET_DATA: i32 = 4;
pub(super) const SET_DATA: i32 = 5;
const GET_CHILDREN: i32 = 8;
const PING: i32 = 11;
pub(super) const CHECK: i32 = 13;
const MULTI: i32 = 14;
const AUTH: i32 = 100;
const ADD_WATCH: i32 = 106;
const CLOSE: i32 = -11;
/// `AddWatchMode.PERSISTENT_RECURSIVE`
const RECURSIVE: i32 = 1;
const ALL_PERMISSIONS: i32 = 31;

/// What becomes of a node when its maker's session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Node {
    Persistent,
    /// Goes with the session; the server appends a growing number of ten digits to its name.
    EphemeralSequential,
}

/// One change in a transaction. Version -1 is any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Op {
    Create { path: String, data: Bytes, node: Node },
    Delete { path: String, version: i32 },
    SetData { path: String, data: Bytes, version: i32 },
    Check { path: String, version: i32 },
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Call {
    /// All of them or none.
    Multi(Vec<Op>),
    Get {
        path: String,
        watch: bool,
    },
    Exists {
        path: String,
        watch: bool,
    },
    Children {
        path: String,
    },
    /// Every change under `path` is told until the connection ends.
    Watch {
        path: String,
    },
}

/// How the answer to a request is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Shape {
    Multi,
    Data,
    Stat,
    Children,
    Nothing,
}

impl Call {
    /// The packet. `private` nodes are open to their maker's identity alone, others to everybody.
    pub(in super::super) fn packet(&self, xid: i32, private: bool) -> Bytes {
        let mut out = Out::packet();
        out.int(xid);
        match self {
            Self::Multi(ops) => {
                out.int(MULTI);
                ops.iter().for_each(|op| write_op(&mut out, op, private));
                out.int(-1).bool(true).int(-1);
            }
            Self::Get { path, watch } => {
                out.int(GET_DATA).string(path).bool(*watch);
            }
            Self::Exists { path, watch } => {
                out.int(EXISTS).string(path).bool(*watch);
            }
            Self::Children { path } => {
                out.int(GET_CHILDREN).string(path).bool(false);
            }
            Self::Watch { path } => {
                out.int(ADD_WATCH).string(path).int(RECURSIVE);
            }
        }
        out.finish()
    }

    pub(in super::super) const fn shape(&self) -> Shape {
        match self {
            Self::Multi(_) => Shape::Multi,
            Self::Get { .. } => Shape::Data,
            Self::Exists { .. } => Shape::Stat,
            Self::Children { .. } => Shape::Children,
            Self::Watch { .. } => Shape::Nothing,
        }
    }
}

fn write_op(out: &mut Out, op: &Op, private: bool) {
    let kind = match op {
        Op::Create { .. } => CREATE,
        Op::Delete { .. } => DELETE,
        Op::SetData { .. } => SET_DATA,
        Op::Check { .. } => CHECK,
    };
    out.int(kind).bool(false).int(-1);
    match op {
        Op::Create { path, data, node } => {
            let (scheme, id) = if private { ("auth", "") } else { ("world", "anyone") };
            out.string(path).buffer(data).int(1).int(ALL_PERMISSIONS).string(scheme).string(id);
            // `CreateMode`: 0 persistent, 3 ephemeral and sequential.
            out.int(match node {
                Node::Persistent => 0,
                Node::EphemeralSequential => 3,
            });
        }
        Op::Delete { path, version } | Op::Check { path, version } => {
            out.string(path).int(*version);
        }
        Op::SetData { path, data, version } => {
            out.string(path).buffer(data).int(*version);
        }
    }
}

/// The first packet of a connection. Session 0 asks for a new one.
pub(in super::super) fn handshake(last_zxid: i64, timeout_ms: i32, session: i64, password: &[u8]) -> Bytes {
    let mut out = Out::packet();
    out.int(0).long(last_zxid).int(timeout_ms).long(session).buffer(password).bool(false);
    out.finish()
}

/// Says who we are.
pub(in super::super) fn auth(scheme: &str, identity: &str) -> Bytes {
    let mut out = Out::packet();
    out.int(XID_AUTH).int(AUTH).int(0).string(scheme).string(identity);
    out.finish()
}

/// A sign of life.
pub(in super::super) fn ping() -> Bytes {
    let mut out = Out::packet();
    out.int(XID_PING).int(PING);
    out.finish()
}

/// Ends the session, and with it its nodes.
pub(in super::super) fn close(xid: i32) -> Bytes {
    let mut out = Out::packet();
    out.int(xid).int(CLOSE);
    out.finish()
}
