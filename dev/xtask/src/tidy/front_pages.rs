//! A crate introduces itself, and its front page is a table of contents.

use syn::spanned::Spanned;
use syn::{Attribute, Expr, Item, Lit, Meta, TraitItem};

use super::crates::House;
use super::finding::Finding;
use super::source::{Source, attributes, is_test_only};

/// Fewer lines than this say no more than the name does.
const OPENING_LINES: usize = 3;

/// Crates that do not say what they are.
pub(crate) fn check_crates(house: &House) -> Vec<Finding> {
    let silent = house.packages.iter().filter(|package| package.description.trim().len() < 10);
    let finding = |room: &str| Finding::new(&format!("{room}/Cargo.toml"), 0, "the crate has no description");
    silent.map(|package| finding(&package.room)).collect()
}

/// Front pages without an opening, or with logic. The program of a crate that also is a library is no front page.
pub(crate) fn check(sources: &[Source]) -> Vec<Finding> {
    let is_front = |source: &&Source| match source.path.strip_suffix("/main.rs") {
        Some(folder) if folder.ends_with("/src") => {
            !sources.iter().any(|other| other.path == format!("{folder}/lib.rs"))
        }
        _ => source.path.ends_with("/src/lib.rs"),
    };
    sources.iter().filter(is_front).flat_map(check_page).collect()
}

fn check_page(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let opening = source.syntax.attrs.iter().filter(|attribute| says_something(attribute)).count();
    if opening < OPENING_LINES {
        let message =
            "the crate has no opening: say what it owns, what it refuses to know, where to start reading";
        findings.push(Finding::new(&source.path, 1, message));
    }
    if source.path.ends_with("/lib.rs") {
        for item in source.syntax.items.iter().filter(|item| !belongs_on_a_front_page(item)) {
            let message =
                "a lib.rs is a table of contents: docs, modules, re-exports and bare traits, no logic";
            findings.push(Finding::new(&source.path, item.span().start().line, message));
        }
    }
    findings
}

fn says_something(attribute: &Attribute) -> bool {
    let Meta::NameValue(pair) = &attribute.meta else { return false };
    let Expr::Lit(text) = &pair.value else { return false };
    matches!(&text.lit, Lit::Str(text) if pair.path.is_ident("doc") && text.value().trim().len() > 3)
}

fn belongs_on_a_front_page(item: &Item) -> bool {
    match item {
        Item::Use(_) | Item::ExternCrate(_) => true,
        Item::Mod(module) => module.content.is_none() || is_test_only(&module.attrs),
        Item::Trait(item) => item.items.iter().all(|item| match item {
            TraitItem::Fn(function) => function.default.is_none(),
            _ => true,
        }),
        other => is_test_only(attributes(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::crates::package;
    use super::super::source::example;
    use super::*;

    const OPENING: &str =
        "//! Owns something.\n//!\n//! Refuses to know the rest.\n//!\n//! Start reading here.\n";

    fn findings(path: &str, text: &str) -> usize {
        check(&[example(path, text)]).len()
    }

    #[test]
    fn logic_on_a_front_page_is_found() {
        for logic in [
            "fn f() {}",
            "pub struct S;",
            "pub const X: u8 = 1;",
            "mod inline { fn f() {} }",
            "pub trait T { fn f(&self) -> u8 { 1 } }",
            "impl S { fn f() {} }",
        ] {
            let text = format!("{OPENING}{logic}");
            assert_eq!(findings("infra/x/src/lib.rs", &text), 1, "{logic}");
            assert_eq!(findings("infra/x/src/main.rs", &text), 0, "a program has a main: {logic}");
            assert_eq!(findings("infra/x/src/other.rs", &text), 0, "{logic}");
        }
    }

    #[test]
    fn a_table_of_contents_passes() {
        let contents = "mod a; pub mod b; pub use a::B; pub trait T { fn f(&self); } #[cfg(test)] mod tests { fn f() {} }";
        assert_eq!(findings("infra/x/src/lib.rs", &format!("{OPENING}{contents}")), 0);
    }

    #[test]
    fn a_crate_without_opening_or_description_is_found() {
        assert_eq!(findings("infra/x/src/lib.rs", "//! A crate.\n//!\nmod a;"), 1);
        assert_eq!(findings("kogge/src/main.rs", "fn main() {}"), 1);
        let both = [example("dev/x/src/lib.rs", OPENING), example("dev/x/src/main.rs", "fn main() {}")];
        assert_eq!(check(&both), []);
        let mut silent = package("infra/x", &[], &[]);
        silent.description = " ".to_owned();
        assert_eq!(check_crates(&House { packages: vec![silent, package("infra/y", &[], &[])] }).len(), 1);
    }
}
