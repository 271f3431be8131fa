//! No drawers: a homeless function belongs to the noun it is about.

use syn::Item;

use super::finding::Finding;
use super::source::Source;

const DRAWERS: &[&str] = &["common", "helpers", "misc", "types", "util", "utils"];

/// Folders, files and modules that are drawers.
pub(crate) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for word in source.path.trim_end_matches(".rs").split('/') {
        if is_drawer(word) {
            findings.push(Finding::new(&source.path, 0, drawer(word)));
        }
    }
    check_items(&source.path, &source.syntax.items, &mut findings);
    findings
}

fn check_items(path: &str, items: &[Item], findings: &mut Vec<Finding>) {
    for item in items {
        let Item::Mod(module) = item else { continue };
        let name = module.ident.to_string();
        // A module in a file of its own is found by the file's name.
        if let Some((_, items)) = &module.content {
            if is_drawer(&name) {
                findings.push(Finding::new(path, module.ident.span().start().line, drawer(&name)));
            }
            check_items(path, items, findings);
        }
    }
}

fn is_drawer(word: &str) -> bool {
    let is_drawer = |word: &str| DRAWERS.contains(&word);
    is_drawer(word) || word.split(['_', '-']).next_back().is_some_and(is_drawer)
}

fn drawer(name: &str) -> String {
    format!("{name} is a drawer: name the file after the noun it is about")
}

#[cfg(test)]
mod tests {
    use super::super::source::example;
    use super::*;

    fn findings(path: &str, text: &str) -> usize {
        check(&example(path, text)).len()
    }

    #[test]
    fn drawers_are_found_as_file_folder_and_module() {
        for path in [
            "core/model/src/utils.rs",
            "core/model/src/common/time.rs",
            "infra/helpers/src/lib.rs",
            "daemons/agent/src/types.rs",
            "daemons/agent/src/string_utils.rs",
            "edge/cli/tests/misc.rs",
        ] {
            assert_eq!(findings(path, ""), 1, "{path}");
        }
        assert_eq!(findings("core/model/src/a.rs", "mod inner { mod helpers { fn f() {} } }"), 1);
    }

    #[test]
    fn nouns_pass() {
        let text = "mod tests { mod helping {} } mod media_type {}";
        assert_eq!(findings("core/model/src/utilization.rs", text), 0);
        assert_eq!(findings("infra/containers/src/media_type.rs", ""), 0);
    }
}
