//! Chores of the house: tidy, bench, demo, dist, virtual machines.

fn main() {}
