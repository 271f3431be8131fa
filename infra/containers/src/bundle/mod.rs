//! OCI bundles: what a container may do and use, as a runtime spec.
//!
//! [`ContainerSpec`] says what is wanted in plain words; [`ContainerSpec::to_oci`] turns it into the spec of
//! <https://github.com/opencontainers/runtime-spec> 1.0, always with every limit, a small capability set,
//! `no_new_privs`, seccomp, masked paths and device rules; [`write_bundle`] puts it where the shim looks.
//!
//! Invariants: `/dev` is always a fresh tmpfs, `/proc` always new and `/sys` always read-only; no mount of the
//! caller may change that. A command on the host's own files never runs as root, whatever the caller says.
//!
//! Start reading at [`spec`].

mod capabilities;
mod devices;
mod error;
mod host_root;
mod limits;
mod mounts;
mod name_files;
mod seccomp;
mod spec;
mod write;

pub use error::BundleError;
pub use host_root::{HOST_WORK_DIR, NOBODY};
pub use limits::{MIN_CPU_MILLIS, MIN_MEM_BYTES, TaskLimits};
pub use mounts::ExtraMount;
pub use name_files::NameFiles;
pub use spec::{ContainerSpec, NetworkPlace, RootFiles};
pub use write::write_bundle;
