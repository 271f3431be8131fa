//! Cores decide, they do not act: no clock, no chance, no files, no sockets, no waiting, no order by accident.
//!
//! Clippy bans the usual calls; this sees whole modules, macros and the crates imported.

use super::crates::House;
use super::finding::Finding;
use super::paths::{self, Named};
use super::source::Source;

/// Crates with effects. A core that imports one has left its floor.
const CRATES: &[&str] = &[
    "async-trait",
    "axum",
    "crossbeam-channel",
    "fs2",
    "futures",
    "futures-util",
    "getrandom",
    "http-body-util",
    "hyper",
    "hyper-util",
    "libc",
    "mio",
    "nix",
    "notify",
    "parking_lot",
    "rand",
    "rayon",
    "redb",
    "reqwest",
    "rustix",
    "socket2",
    "tempfile",
    "tokio",
    "tokio-util",
    "tonic",
    "tower",
];

const MODULES: &[(&[&str], &str)] = &[
    (&["std", "env"], "has no environment"),
    (&["std", "fs"], "has no files"),
    (&["std", "io", "stdin"], "does no input or output"),
    (&["std", "io", "stdout"], "does no input or output"),
    (&["std", "io", "stderr"], "does no input or output"),
    (&["std", "os"], "does not know the system"),
    (&["std", "process"], "starts nothing"),
    (&["std", "thread"], "has no threads"),
    (&["tokio"], "has no runtime"),
];

/// What `std::net` has besides sockets.
const ADDRESSES: &[&str] =
    &["AddrParseError", "IpAddr", "Ipv4Addr", "Ipv6Addr", "SocketAddr", "SocketAddrV4", "SocketAddrV6"];

/// Imports of crates with effects by a core. Its tests may use them.
pub(crate) fn check_crates(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in house.packages.iter().filter(|package| package.room.starts_with("core/")) {
        for import in package.imports.iter().filter(|import| !import.is_for_tests) {
            if CRATES.contains(&import.name.as_str()) {
                let message = format!("core is pure, it must not import {}", import.name);
                findings.push(Finding::new(&format!("{}/Cargo.toml", package.room), 0, message));
            }
        }
    }
    findings
}

/// Effects in the code of a core.
pub(crate) fn check(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with("core/") || source.is_for_tests() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for named in paths::of(source) {
        if let Some(reason) = impurity(&named) {
            let message = format!("core {reason} ({})", named.words.join("::"));
            findings.push(Finding::new(&source.path, named.line, message));
        }
    }
    findings.dedup();
    findings
}

fn impurity(named: &Named) -> Option<&'static str> {
    if let Some((_, reason)) = MODULES.iter().find(|(words, _)| named.begins(words)) {
        return Some(reason);
    }
    if named.begins(&["std", "net"]) && !ADDRESSES.iter().any(|address| named.has(address)) {
        return Some("has no sockets");
    }
    if named.ends(&["Instant", "now"]) || named.ends(&["SystemTime", "now"]) {
        return Some("has no clock: now is an argument");
    }
    if named.begins(&["std", "time"]) && (named.has("Instant") || named.has("SystemTime")) {
        return Some("has no clock: now is a Timestamp of the model");
    }
    if named.has("HashMap") || named.has("HashSet") || named.has("RandomState") {
        return Some("iterates in order: use BTreeMap or BTreeSet");
    }
    if named.words == ["async"] {
        return Some("does not wait: no async");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::crates::package;
    use super::super::source::example;
    use super::*;

    fn findings(path: &str, text: &str) -> usize {
        check(&example(path, text)).len()
    }

    #[test]
    fn every_kind_of_effect_is_found() {
        for text in [
            "fn f() { let now = std::time::Instant::now(); }",
            "fn f(x: u8) { assert!(x > 1, \"{:?}\", SystemTime::now()); }",
            "use std::time::{Duration, Instant};",
            "use std::{collections::HashMap, fmt};",
            "struct S { all: std::collections::HashSet<u8> }",
            "use std::fs;",
            "fn f() { std::env::var(\"HOME\").ok(); }",
            "use std::net::TcpStream;",
            "use std::net::*;",
            "fn f() { std::io::stdout().lock(); }",
            "fn f() { std::thread::yield_now(); }",
            "fn f() { std::process::exit(1); }",
            "use tokio::sync::mpsc;",
            "async fn f() {}",
            "fn f() { let later = async { 1 }; }",
            "impl S { fn f(&self) { tokio::task::yield_now(); } }",
        ] {
            assert!(findings("core/kernel/src/a.rs", text) > 0, "{text}");
            assert_eq!(findings("infra/host/src/a.rs", text), 0, "only cores are pure: {text}");
            assert_eq!(findings("core/kernel/tests/a.rs", text), 0, "tests may act: {text}");
        }
    }

    #[test]
    fn pure_code_passes() {
        let text = "use std::collections::BTreeMap; use std::time::Duration; use std::net::{IpAddr, SocketAddr}; use std::io::Write;
            fn plan(now: Timestamp) -> Duration { instant::now(now) }";
        assert_eq!(findings("core/kernel/src/a.rs", text), 0);
    }

    #[test]
    fn a_core_imports_no_crate_with_effects() {
        let house = House {
            packages: vec![
                package("core/kernel", &["tokio", "serde"], &["tempfile"]),
                package("infra/host", &["tokio"], &[]),
            ],
        };
        let found: Vec<String> = check_crates(&house).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["core/kernel/Cargo.toml: core is pure, it must not import tokio"]);
    }
}
