//! The per-task supervisor process and its versioned socket protocol.
//!
//! Owns what one task needs while it runs, apart from any daemon: its root file system's mounts, its start and
//! end, its output, its limits, more processes in it, and the record of how it ended. Refuses to know images,
//! networks (a path in the spec), services, and who wants the task.
//!
//! ```text
//!  agent ── spawn ──▶ shim (kogge shim DIR) ── helper ──▶ container's first process
//!    │                  │  ▲                                   │ stdout, stderr
//!    └─── shim.sock ────┘  └───────────── pipes ◀──────────────┘
//!                       └──▶ DIR/log/*.log, DIR/exit.json
//! ```
//!
//! A shim outlives whoever started it: killing the agent or the whole cloud touches no task. It stays in its
//! spawner's cgroup; a service manager must not kill it with its unit (systemd: `KillMode=process`). When the
//! shim itself is told to end (SIGTERM, a machine that shuts down) it ends its task first. When it is killed, its
//! task is lost: [`client::recover`] says so and [`client::destroy`] clears it away.
//!
//! Directory of one shim, never used for two:
//!
//! | file | by | what |
//! |---|---|---|
//! | `shim.json` | agent | [`config::ShimConfig`] |
//! | `shim.lock` | both | locked while the shim lives |
//! | `shim.sock` | shim | see [`protocol`], mode 0600 |
//! | `shim.log` | shim | what went wrong outside the protocol |
//! | `log/` | shim | segments of [`kogge_model::log_record`] |
//! | `exit.json` | shim | [`protocol::EndedTask`] |
//!
//! What the OCI spec must have stands in [`spec`]. Start reading at [`process`] for the shim's side, at
//! [`client`] for the agent's.

mod durable;
mod engine;
mod socket;
mod sys;

pub mod cgroup;
pub mod client;
pub mod config;
pub mod process;
pub mod protocol;
pub mod spec;
