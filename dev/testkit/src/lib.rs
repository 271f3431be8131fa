//! Builders and the harness of end-to-end tests.
