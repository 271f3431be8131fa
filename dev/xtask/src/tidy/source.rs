//! One Rust file, parsed.

use std::path::{Path, PathBuf};

use anyhow::Context;
use syn::spanned::Spanned;
use syn::{Attribute, Item};

/// A file and what is in it.
pub(crate) struct Source {
    /// Relative to the workspace.
    pub(crate) path: String,
    pub(crate) lines: usize,
    pub(crate) syntax: syn::File,
    is_declared_for_tests: bool,
}

impl Source {
    pub(crate) fn parse(path: &str, text: &str) -> anyhow::Result<Self> {
        let syntax = syn::parse_file(text).with_context(|| format!("cannot parse {path}"))?;
        Ok(Self { path: path.to_owned(), lines: text.lines().count(), syntax, is_declared_for_tests: false })
    }

    /// Whether all of it is for tests.
    pub(crate) fn is_for_tests(&self) -> bool {
        let names: Vec<&str> = self.path.split('/').collect();
        let folders = ["tests", "benches", "examples", "conformance"];
        let files = ["tests.rs", "conformance.rs"];
        self.is_declared_for_tests
            || names.iter().any(|name| folders.contains(name))
            || names.last().is_some_and(|name| files.contains(name))
    }

    /// Where the modules lie that only tests compile: `infra/x/src/fixture`, without `.rs`.
    fn modules_for_tests(&self) -> Vec<String> {
        let stem = self.path.trim_end_matches(".rs");
        let is_root = ["/lib", "/main", "/mod"].iter().any(|name| stem.ends_with(name));
        let folder = if is_root { stem.rsplit_once('/').map_or("", |(folder, _)| folder) } else { stem };
        let modules = self.syntax.items.iter().filter_map(|item| match item {
            Item::Mod(module) if module.content.is_none() && is_test_only(&module.attrs) => {
                Some(&module.ident)
            }
            _ => None,
        });
        modules.map(|name| format!("{folder}/{name}")).collect()
    }

    /// Lines outside the parts that only tests compile.
    pub(crate) fn lines_of_code(&self) -> usize {
        let test_lines = self.syntax.items.iter().filter(|item| is_test_only(attributes(item))).map(|item| {
            let span = item.span();
            span.end().line + 1 - span.start().line
        });
        self.lines - test_lines.sum::<usize>().min(self.lines)
    }
}

/// Finds the files whose module is declared for tests only, in another file.
pub(crate) fn mark_tests(sources: &mut [Source]) {
    let modules: Vec<String> = sources.iter().flat_map(Source::modules_for_tests).collect();
    for source in sources {
        source.is_declared_for_tests = modules.iter().any(|module| {
            let rest = source.path.strip_prefix(module.as_str());
            rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        });
    }
}

/// The Rust files of a crate, in order; other crates inside its folder are not its own.
pub(crate) fn files_below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let entries = std::fs::read_dir(&next).with_context(|| format!("cannot list {}", next.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("cannot list {}", next.display()))?.path();
            let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if path.is_dir() && !is_hidden && !path.join("Cargo.toml").exists() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Whether only tests compile what has these attributes.
pub(crate) fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string();
            condition == "test" || condition.starts_with("all (test")
        }
        syn::Meta::Path(path) => path.segments.last().is_some_and(|last| last.ident == "test"),
        _ => false,
    })
}

/// The attributes of any item.
pub(crate) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Parses a file of a rule's test.
#[cfg(test)]
pub(crate) fn example(path: &str, text: &str) -> Source {
    Source::parse(path, text).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_tests_do_not_count() {
        let text = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n";
        assert_eq!(example("x/src/a.rs", text).lines_of_code(), 2);
        let text = "#[cfg(not(test))]\nfn a() {}\n#[cfg(feature = \"test\")]\nfn b() {}\n";
        assert_eq!(example("x/src/a.rs", text).lines_of_code(), 4);
    }

    #[test]
    fn modules_declared_for_tests_are_tests() {
        let mut sources = [
            example("x/src/lib.rs", "mod a;\n#[cfg(test)]\nmod fixture;"),
            example("x/src/fixture.rs", ""),
            example("x/src/fixture/inner.rs", ""),
            example("x/src/fixtures.rs", ""),
            example("x/src/a.rs", "#[cfg(test)]\nmod model;"),
            example("x/src/a/model.rs", ""),
            example("x/src/model.rs", ""),
        ];
        mark_tests(&mut sources);
        let tests: Vec<&str> = sources.iter().filter(|s| s.is_for_tests()).map(|s| s.path.as_str()).collect();
        assert_eq!(tests, ["x/src/fixture.rs", "x/src/fixture/inner.rs", "x/src/a/model.rs"]);
    }

    #[test]
    fn files_of_tests_are_known_by_their_place() {
        for path in ["a/tests/x.rs", "a/src/tests.rs", "a/src/b/tests/c.rs", "a/src/conformance/x.rs"] {
            assert!(example(path, "").is_for_tests(), "{path}");
        }
        assert!(!example("dev/testkit/src/attests.rs", "").is_for_tests());
    }
}
