//! The seeded cluster simulator.

fn main() {}
