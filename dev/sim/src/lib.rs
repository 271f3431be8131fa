//! The seeded cluster simulator.
