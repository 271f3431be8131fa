//! Images, snapshots, OCI bundles and container networks.
