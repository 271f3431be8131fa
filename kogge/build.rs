//! How the binary is linked.

fn main() {
    // Addresses fixed at link time: with relocations each supervisor of a task would hold a copy of its own of all
    // tables of addresses, three quarters of a megabyte (docs/decisions/0009-fixed-addresses.md). A static binary is
    // asked for with flags that say the same (`xtask dist`).
    let features = std::env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    if !features.split(',').any(|feature| feature == "crt-static") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
