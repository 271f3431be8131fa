//! All that people want: one tree of services, each state of it kept as a revision ("git for servers").
//!
//! Owns the content-addressed nodes, the rules of the tree, compare-and-swap on a path, history, diff and reset.
//! Refuses to know what a service does with its spec, who may write, and how anything is stored: a change is
//! planned as a [`Write`] (plain data), the driver persists it in one commit, then applies it.
//!
//! ```text
//!                                    revision 7 ──▶ root ─┬─▶ prod ─┬─▶ shop ─┬─▶ web      (ServiceSpec)
//!  Edit ──▶ plan_write ──▶ Write ──▶     │ parent         │         │         └─▶ worker
//!   path, expected digest, action    revision 6 ──▶ root'─┴─▶ dev …─┘     unchanged subtrees are shared
//! ```
//!
//! A node's digest names its canonical JSON, so the same content has the same digest on any way to it, an unchanged
//! subtree costs nothing, and [`Tree::diff`] visits only what differs.
//!
//! Start reading at [`Tree`], then [`Edit`] and the module `plan_write`.

mod canonical;
mod diff;
mod edit;
mod follow;
mod history;
mod node;
mod node_table;
mod path;
mod plan_write;
mod restore;
mod rules;
mod tree;

pub use diff::Difference;
pub use edit::{Action, Author, Edit, Expected, WriteError};
pub use follow::RecordChanges;
pub use history::PathVersion;
pub use node::{Group, Node, NodeError, Subtree};
pub use path::{TreePath, TreePathError};
pub use plan_write::Write;
pub use restore::RestoreError;
pub use rules::MAX_DEPTH;
pub use tree::{Config, Tree};
