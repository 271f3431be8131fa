//! Typed client for the native API.
