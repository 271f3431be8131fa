//! HTTP balancer over a routing-table snapshot.
