//! The catalog of instances, and the routing table derived from it.
