//! Images, snapshots, OCI bundles and container networks.
//!
//! Owns everything a container needs before it starts and after it has ended: the image store with its blobs
//! and unpacked layers, the writable snapshot of each task, the OCI runtime spec (limits, capabilities,
//! seccomp, masks), and the cloud's own bridge network. Refuses to know what a service or a deployment is, and
//! starts no container: the shim does, from the bundle written here.
//!
//! ```text
//!  archive, layout, registry ──▶ image ──▶ layers ──▶ snapshot ──┐
//!                                  │                             ├──▶ bundle (config.json) ──▶ shim
//!                                  └──▶ config, user ────────────┤
//!                      network: bridge, netns, published ports ──┘
//! ```
//!
//! Start reading at [`image::ImageStore`], then [`bundle::ContainerSpec`] and [`network::Network`].

pub mod base_image;
pub mod bundle;
mod durable;
pub mod image;
pub mod network;
pub mod snapshot;
mod tree;
mod workers;

pub use workers::Workers;
