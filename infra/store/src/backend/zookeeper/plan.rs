//! From a draft to one transaction, and from its refusal to what is learned.

use bytes::Bytes;

use crate::LeaseId;

use super::copy::Copy;
use super::draft::{Draft, Fate, Learned};
use super::head::Head;
use super::layout::{BLOCK, Layout};
use super::queue::{Reply, Request};
use super::record::{Record, record_len};
use super::wire::{Code, Node, Op};

/// What one operation of the transaction is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Role {
    Turn,
    Head,
    Block,
    Record,
    Fence(String),
    LeaseBegins(String),
    LeaseEnds { lease: LeaseId, path: String },
}

/// Where the transaction is to be applied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Base<'a> {
    pub(super) head: &'a Head,
    /// Of the head node.
    pub(super) version: i32,
    /// Of the turn node.
    pub(super) turn: i32,
}

/// What a refused transaction says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lesson {
    /// Somebody else was first: catch up.
    Behind,
    /// Somebody else cannot get in between: let them.
    Yield,
    /// Plan again, with what was learned.
    Again,
    /// This cannot be helped.
    Hopeless,
}

/// A transaction, and what to answer once it has happened.
#[derive(Debug)]
pub(super) struct Plan {
    /// Of the copy that it was made on.
    pub(super) base: u64,
    pub(super) record: Record,
    pub(super) head: Head,
    pub(super) replies: Vec<Reply>,
    /// Nodes that must exist for the replies to be right.
    pub(super) fences: Vec<String>,
    pub(super) ops: Vec<Op>,
    roles: Vec<Role>,
}

impl Plan {
    /// For `requests`, at `base`, which the copy has reached.
    pub(super) fn new(
        copy: &Copy,
        base: Base<'_>,
        requests: &[Request],
        learned: &Learned,
        layout: &Layout,
        attempt: u128,
    ) -> Self {
        assert_eq!(copy.index, base.head.index, "a plan is made on a copy that has caught up");
        let mut draft = Draft::new(copy, base.head, learned);
        let replies = requests.iter().map(|request| draft.act(&request.action)).collect();
        let Draft { mut head, changes, nodes, .. } = draft;
        let fences = nodes.fences.iter().cloned().collect();
        let record = Record { attempt, changes };
        let (mut ops, mut roles) = (Vec::new(), Vec::new());
        let mut add = |op: Op, role: Role| {
            ops.push(op);
            roles.push(role);
        };
        if !record.changes.is_empty() || head != *base.head {
            add(Op::Check { path: layout.turn(), version: base.turn }, Role::Turn);
            let bytes = (!record.changes.is_empty()).then(|| record.write());
            if bytes.is_some() {
                head.index += 1;
                head.logged += record_len(&record.changes);
            }
            let set = Op::SetData { path: layout.head(), data: head.write(), version: base.version };
            add(set, Role::Head);
            if let Some(bytes) = bytes {
                if learned.needs_block {
                    add(create(layout.block(head.index / BLOCK), Bytes::new()), Role::Block);
                }
                add(create(layout.record(head.index), bytes), Role::Record);
            }
            for path in nodes.fences {
                add(Op::Check { path: path.clone(), version: -1 }, Role::Fence(path));
            }
            for lease in nodes.begun {
                let path = layout.lease(lease);
                if !learned.settled.contains(&path) {
                    add(create(path.clone(), Bytes::new()), Role::LeaseBegins(path));
                }
            }
            for (lease, fate) in nodes.ended {
                let (path, version) = match fate {
                    Fate::Lease { version } => (layout.lease(lease), version),
                    Fate::Candidate { path } => (path, -1),
                };
                if !learned.settled.contains(&path) {
                    add(Op::Delete { path: path.clone(), version }, Role::LeaseEnds { lease, path });
                }
            }
        }
        Self { base: copy.index, record, head, replies, fences, ops, roles }
    }

    /// Whether nothing is to be written.
    pub(super) fn is_idle(&self) -> bool {
        self.ops.is_empty()
    }

    /// Whether it makes a log record.
    pub(super) fn has_record(&self) -> bool {
        !self.record.changes.is_empty()
    }

    /// Position of the operation on the head.
    pub(super) const HEAD: usize = 1;

    /// The transaction was refused because of its operation at `index`.
    pub(super) fn learn(&self, index: usize, code: Code, learned: &mut Learned) -> Lesson {
        match (self.roles.get(index), code) {
            (Some(Role::Turn), Code::BAD_VERSION) => Lesson::Yield,
            (Some(Role::Head), Code::BAD_VERSION) | (Some(Role::Record), Code::NODE_EXISTS) => Lesson::Behind,
            (Some(Role::Record), Code::NO_NODE) if !learned.needs_block => {
                learned.needs_block = true;
                Lesson::Again
            }
            (Some(Role::Block), Code::NODE_EXISTS) => {
                learned.needs_block = false;
                Lesson::Again
            }
            (Some(Role::Fence(path)), Code::NO_NODE) => {
                learned.gone.insert(path.clone());
                Lesson::Again
            }
            (Some(Role::LeaseEnds { lease, .. }), Code::BAD_VERSION) => {
                learned.alive.insert(*lease);
                Lesson::Again
            }
            (Some(Role::LeaseBegins(path)), Code::NODE_EXISTS)
            | (Some(Role::LeaseEnds { path, .. }), Code::NO_NODE) => {
                learned.settled.insert(path.clone());
                Lesson::Again
            }
            _ => Lesson::Hopeless,
        }
    }
}

fn create(path: String, data: Bytes) -> Op {
    Op::Create { path, data, node: Node::Persistent }
}
