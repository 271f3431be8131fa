//! Commands, tables and hints.
