//! ZooKeeper's client protocol, as far as this engine speaks it: bytes in, bytes out.
//!
//! Source: `zookeeper.jute` and `org.apache.zookeeper.ZooDefs` of ZooKeeper 3.8,
//! <https://github.com/apache/zookeeper/tree/release-3.8.0/zookeeper-jute/src/main/resources>. Every packet is a
//! 4-byte length and a body in jute: numbers big-endian, strings and buffers after a 4-byte length.

mod jute;
mod reply;
mod request;

pub(super) use jute::Malformed;
pub(super) use reply::{Answer, Header, MultiDone, Shake, Stat};
pub(super) use request::{Call, Node, Op, Shape, auth, close, handshake, ping};

/// An answer of a server that is not success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code(pub(super) i32);

impl Code {
    pub(super) const UNIMPLEMENTED: Self = Self(-6);
    pub(super) const NO_NODE: Self = Self(-101);
    pub(super) const NO_AUTH: Self = Self(-102);
    pub(super) const BAD_VERSION: Self = Self(-103);
    pub(super) const NODE_EXISTS: Self = Self(-110);
    pub(super) const NOT_EMPTY: Self = Self(-111);
    pub(super) const SESSION_EXPIRED: Self = Self(-112);
    pub(super) const INVALID_ACL: Self = Self(-114);
    pub(super) const AUTH_FAILED: Self = Self(-115);
    pub(super) const SESSION_MOVED: Self = Self(-118);
    pub(super) const QUOTA_EXCEEDED: Self = Self(-125);
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match *self {
            Self::UNIMPLEMENTED => "unimplemented",
            Self::NO_NODE => "no node",
            Self::NO_AUTH => "not allowed",
            Self::BAD_VERSION => "bad version",
            Self::NODE_EXISTS => "node exists",
            Self::NOT_EMPTY => "not empty",
            Self::SESSION_EXPIRED => "session expired",
            Self::INVALID_ACL => "invalid access list",
            Self::AUTH_FAILED => "authentication failed",
            Self::SESSION_MOVED => "session moved",
            Self::QUOTA_EXCEEDED => "quota exceeded",
            Self(number) => return write!(f, "error {number}"),
        };
        f.write_str(name)
    }
}

/// `xid`s that are no request's number (`org.apache.zookeeper.ClientCnxn`).
pub(super) const XID_WATCH: i32 = -1;
pub(super) const XID_PING: i32 = -2;
pub(super) const XID_AUTH: i32 = -4;

/// The most bytes a server takes in one packet (`jute.maxbuffer`), as it is by default.
pub(super) const MAX_PACKET_BYTES: usize = 0xf_ffff;
