//! Every operation has a test, but for a list that may only shrink.

use std::collections::BTreeSet;

const TESTS: [&str; 8] = [
    include_str!("changes.rs"),
    include_str!("cluster.rs"),
    include_str!("exec.rs"),
    include_str!("images.rs"),
    include_str!("limits.rs"),
    include_str!("looks.rs"),
    include_str!("streams.rs"),
    include_str!("tokens.rs"),
];

#[test]
fn operations_without_a_test_stand_in_a_list_that_only_shrinks() {
    let document = serde_json::to_value(kogge_api::document()).unwrap();
    let operations = document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        item.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    let untested: BTreeSet<String> = operations
        .filter(|operation| !TESTS.iter().any(|test| test.contains(&format!("\"{operation}\""))))
        .collect();
    let listed: BTreeSet<String> = include_str!("../untested_operations.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    let new: Vec<_> = untested.difference(&listed).collect();
    assert!(new.is_empty(), "these operations have no test: {new:?}");
    let outdated: Vec<_> = listed.difference(&untested).collect();
    assert!(outdated.is_empty(), "these have one now, or are gone: take them off the list: {outdated:?}");
}
