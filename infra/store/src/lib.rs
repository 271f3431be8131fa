//! Versioned keys, guarded transactions, watch and leases.
