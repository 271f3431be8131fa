//! Log segments: read, follow, search.
