//! The binary: configuration, wiring, start and stop.

fn main() {}
