//! Who may import whom. The table is the one in the style guide; anything not in it is forbidden.

use super::crates::{House, Package};
use super::finding::Finding;

/// `(who, what it may import, of ours)`; the first line that names the crate counts. A name that ends in `/` is a
/// whole floor.
const TABLE: &[(&str, &[&str])] = &[
    ("core/model", &[]),
    ("core/", &["core/model"]),
    ("infra/", &["core/model", "infra/host"]),
    ("daemons/", &["core/", "infra/"]),
    ("edge/api", &["core/", "infra/host", "infra/telemetry", "daemons/control"]),
    ("edge/compat", &["core/", "infra/host", "infra/telemetry", "daemons/control"]),
    ("edge/client", &["core/model"]),
    ("edge/cli", &["edge/client", "core/model"]),
    ("kogge", &["core/", "infra/", "daemons/", "edge/"]),
    // Never shipped. Tests and benches reach for what they build or measure, but not past a daemon's door.
    ("dev/sim", &["core/"]),
    ("dev/herd", &["core/", "infra/", "edge/client"]),
    ("dev/testkit", &["core/", "infra/", "edge/client"]),
    ("dev/xtask", &["core/", "infra/", "edge/client", "dev/testkit"]),
];

/// What tests may import besides: they start the real thing below, and knock where users do.
const TABLE_FOR_TESTS: &[(&str, &[&str])] = &[
    ("edge/api", &["dev/testkit", "infra/", "edge/client"]),
    ("edge/compat", &["dev/testkit", "infra/", "edge/client"]),
    ("", &["dev/testkit"]),
];

/// Every import of ours that the table does not allow.
pub(crate) fn check(house: &House) -> Vec<Finding> {
    house.packages.iter().flat_map(check_package).collect()
}

fn check_package(package: &Package) -> Vec<Finding> {
    let manifest = format!("{}/Cargo.toml", package.room);
    let Some((_, allowed)) = TABLE.iter().find(|(who, _)| is_in(&package.room, who)) else {
        let message = format!("{} is on no floor of the house", package.room);
        return vec![Finding::new(&manifest, 0, message)];
    };
    let mut findings = Vec::new();
    for import in &package.imports {
        let Some(room) = &import.room else { continue };
        let aids = TABLE_FOR_TESTS.iter().find(|(who, _)| who.is_empty() || is_in(&package.room, who));
        let is_aid = aids.is_some_and(|(_, aids)| aids.iter().any(|aid| is_in(room, aid)));
        let is_allowed =
            allowed.iter().any(|allowed| is_in(room, allowed)) || (import.is_for_tests && is_aid);
        if !is_allowed {
            let may = if allowed.is_empty() { "nothing of ours".to_owned() } else { allowed.join(", ") };
            let message = format!("{} must not import {room}, it may import {may}", package.room);
            findings.push(Finding::new(&manifest, 0, message));
        }
    }
    findings
}

fn is_in(room: &str, place: &str) -> bool {
    room == place
        || (place.ends_with('/') && room.starts_with(place))
        || room.starts_with(&format!("{place}/"))
}

#[cfg(test)]
mod tests {
    use super::super::crates::package;
    use super::*;

    /// What `room` may not import, out of `imports` (in code) and `aids` (in tests).
    fn forbidden(room: &str, imports: &[&str], aids: &[&str]) -> Vec<String> {
        let house = House { packages: vec![package(room, imports, aids)] };
        let word = |finding: Finding| {
            let rest = finding.message.split_once(" must not import ").expect("a wall").1.to_owned();
            rest.split(',').next().unwrap_or_default().to_owned()
        };
        check(&house).into_iter().map(word).collect()
    }

    #[test]
    fn no_wall_can_be_climbed() {
        for (room, imports, expected) in [
            ("core/model", &["core/kernel", "infra/host"][..], &["core/kernel", "infra/host"][..]),
            ("core/services", &["core/model", "core/kernel", "infra/host"], &["core/kernel", "infra/host"]),
            ("infra/host", &["core/model", "core/node"], &["core/node"]),
            ("infra/store", &["core/model", "infra/host", "infra/shim"], &["infra/shim"]),
            ("infra/shim", &["daemons/agent", "edge/api"], &["daemons/agent", "edge/api"]),
            ("daemons/agent", &["core/node", "infra/shim", "daemons/control"], &["daemons/control"]),
            ("daemons/agent", &["edge/client"], &["edge/client"]),
            ("edge/api", &["daemons/control", "infra/telemetry", "core/auth"], &[]),
            ("edge/api", &["daemons/agent", "infra/store"], &["daemons/agent", "infra/store"]),
            ("edge/compat/marathon", &["daemons/control", "infra/store"], &["infra/store"]),
            ("edge/client", &["core/model", "core/kernel"], &["core/kernel"]),
            ("edge/cli", &["edge/client", "edge/api", "infra/host"], &["edge/api", "infra/host"]),
            ("kogge", &["core/node", "infra/store", "daemons/agent", "edge/cli"], &[]),
            ("dev/sim", &["core/kernel", "daemons/control", "edge/api"], &["daemons/control", "edge/api"]),
        ] {
            assert_eq!(forbidden(room, imports, &[]), expected, "{room}");
        }
    }

    #[test]
    fn the_test_kit_is_for_tests_only() {
        for room in ["core/kernel", "infra/store", "daemons/agent", "edge/api", "kogge", "dev/sim"] {
            assert_eq!(forbidden(room, &["dev/testkit"], &[]), ["dev/testkit"], "{room}");
            assert_eq!(forbidden(room, &[], &["dev/testkit"]), [""; 0], "{room}");
        }
        assert_eq!(forbidden("core/kernel", &[], &["infra/store"]), ["infra/store"], "tests have walls too");
        assert_eq!(forbidden("daemons/agent", &[], &["daemons/control"]), ["daemons/control"]);
        assert_eq!(forbidden("edge/api", &[], &["infra/store", "edge/client", "edge/cli"]), ["edge/cli"]);
    }

    #[test]
    fn nobody_imports_what_stands_on_top() {
        for room in ["core/kernel", "infra/store", "daemons/agent", "edge/cli", "dev/testkit", "dev/xtask"] {
            let mut package = package(room, &["dev/xtask", "dev/sim", "the/binary"], &[]);
            package.imports[2].room = Some("kogge".to_owned());
            assert_eq!(check(&House { packages: vec![package] }).len(), 3, "{room}");
        }
    }

    #[test]
    fn a_crate_outside_all_floors_is_found() {
        let house = House { packages: vec![package("attic/things", &[], &[])] };
        assert_eq!(
            check(&house)[0].to_string(),
            "attic/things/Cargo.toml: attic/things is on no floor of the house"
        );
    }
}
