//! The native HTTP API, OpenAPI document and event stream.
