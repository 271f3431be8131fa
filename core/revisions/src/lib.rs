//! The desired tree: content-addressed nodes, history and diff.
