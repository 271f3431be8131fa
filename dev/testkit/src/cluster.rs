//! A cluster under test: machines that are network namespaces on one bridge, and everything that can happen to them.
//!
//! ```text
//!  client ─┐             ┌─ s1 s2 s3   servers
//!          ├── switch ───┼─ a1 … a5    agents, with their tasks
//!          │  (faults)   └─ e1 e2 e3   members of etcd or ZooKeeper
//! ```
//!
//! The switch lives in a namespace of its own: nothing touches the network of the machine, and beds side by side do not
//! see each other. All faults of links are rules of the switch, where no machine sees or changes them.
//!
//! A [`Bed`] writes down what it makes before it makes it; whoever reads the file can end the bed, also when the process
//! that made it is long gone. [`Plan`] makes a whole cluster of it. Start reading at [`Bed`], then [`Fault`].

pub mod addresses;
mod bed;
mod clock;
mod disk;
mod engine;
mod error;
mod fault;
mod link_faults;
mod machine;
mod mounts;
mod namespace;
mod plan;
mod process;
pub(crate) mod program;
mod record;
mod registry;
mod switch;
pub mod words;

pub use bed::Bed;
pub use clock::Shift;
pub use engine::Engine;
pub use error::BedError;
pub use fault::Fault;
pub use link_faults::{Cut, Direction, LinkFaults, Percent, Rate};
pub use namespace::Namespace;
pub use plan::Plan;
pub use process::{ProcessId, ProcessState};
pub use record::{Client, Launch, Node, Record, Role};
pub use registry::sweep;
