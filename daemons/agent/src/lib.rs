//! Drives the node core with containers, shims and probes.
