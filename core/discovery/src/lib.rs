//! The catalog of instances, and the routing table derived from it.
//!
//! Owns which instance of which service is where and in what state, and the one function that turns the catalog
//! and the declared routes into the table a router obeys. Refuses to know how health is found out, how a request
//! is carried, and what time it is.
//!
//! ```text
//!  statuses ──▶ Catalog ──┐
//!                         ├─ plan_routing_table ──▶ RoutingTable (generation n) ──watch──▶ routers
//!  route specs ─▶ Route ──┘
//! ```
//!
//! Four rules stand here and nowhere else: only healthy instances get requests; draining ones get no new one; a
//! service whose instances all fail their checks keeps its last healthy set, flagged (G18); an ended run never
//! comes back (G19).
//!
//! Start reading at [`discovery`] (the machine a driver holds), then [`catalog`] and [`routing_table`].

pub mod catalog;
pub mod discovery;
mod ended_runs;
pub mod host_pattern;
pub mod instance;
pub mod path_prefix;
pub mod plan_routing_table;
pub mod route;
pub mod routing_table;

pub use catalog::Catalog;
pub use discovery::Discovery;
pub use host_pattern::HostPattern;
pub use instance::{Instance, InstanceState};
pub use path_prefix::PathPrefix;
pub use route::Route;
pub use routing_table::{Backend, RoutingTable, ServiceRoute};
