//! Files and functions stay small. Old offenders stand in a list that may only get shorter.

use std::collections::BTreeMap;

use anyhow::Context;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Block, ImplItemFn, Item, ItemFn, Signature, TraitItemFn};

use super::finding::Finding;
use super::source::{Source, attributes, is_test_only};

const FILE_LINES: usize = 800;
const FUNCTION_LINES: usize = 80;

/// The list of old offenders, relative to the workspace.
pub(crate) const RATCHET: &str = "dev/xtask/tidy-ratchet.txt";

/// Old offenders with the size that they have, and may not exceed.
#[derive(Debug, Default)]
pub(crate) struct Ratchet {
    allowed: BTreeMap<String, usize>,
}

impl Ratchet {
    /// Lines of `PATH LINES` or `PATH::FUNCTION LINES`; `#` begins a comment.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut allowed = BTreeMap::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let entry = line.rsplit_once(' ').and_then(|(name, lines)| Some((name, lines.parse().ok()?)));
            let (name, lines) =
                entry.with_context(|| format!("{RATCHET}: {line:?} is not a name and a number"))?;
            allowed.insert(name.trim().to_owned(), lines);
        }
        Ok(Self { allowed })
    }
}

/// What is too large and not listed, larger than listed, or listed with more than it has.
pub(crate) fn check(sources: &[Source], ratchet: &Ratchet) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut offenders = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.is_for_tests()) {
        let lines = source.lines_of_code();
        if lines > FILE_LINES {
            offenders.insert(source.path.clone(), lines);
            report(&mut findings, ratchet, &source.path, &source.path, 0, lines, FILE_LINES);
        }
        for function in functions(source).into_iter().filter(|function| function.lines > FUNCTION_LINES) {
            let name = format!("{}::{}", source.path, function.name);
            report(
                &mut findings,
                ratchet,
                &name,
                &source.path,
                function.line,
                function.lines,
                FUNCTION_LINES,
            );
            offenders.insert(name, function.lines);
        }
    }
    for (name, &allowed) in &ratchet.allowed {
        let actual = offenders.get(name).copied();
        if actual.is_none_or(|actual| actual < allowed) {
            let now = actual.map_or("remove the line".to_owned(), |actual| format!("write {actual}"));
            findings.push(Finding::new(RATCHET, 0, format!("{name} is smaller than {allowed} now: {now}")));
        }
    }
    findings
}

fn report(
    findings: &mut Vec<Finding>,
    ratchet: &Ratchet,
    name: &str,
    path: &str,
    line: usize,
    lines: usize,
    limit: usize,
) {
    let limit = ratchet.allowed.get(name).copied().unwrap_or(limit);
    if lines > limit {
        let what = name.strip_prefix(path).unwrap_or(name).trim_start_matches("::");
        let what = if what.is_empty() { "the file" } else { what };
        let message = format!("{what} has {lines} lines, the most is {limit}: split it by concept");
        findings.push(Finding::new(path, line, message));
    }
}

/// Medians and tails, for people.
pub(crate) fn summary(sources: &[Source]) -> String {
    let code: Vec<&Source> = sources.iter().filter(|source| !source.is_for_tests()).collect();
    let files = code.iter().map(|source| source.lines_of_code()).collect();
    let functions = code.iter().flat_map(|source| functions(source)).map(|function| function.lines).collect();
    format!("files: {}\nfunctions: {}", spread(files), spread(functions))
}

fn spread(mut sizes: Vec<usize>) -> String {
    sizes.sort_unstable();
    let at = |percent: usize| sizes.get(sizes.len().saturating_sub(1) * percent / 100).copied().unwrap_or(0);
    format!("{} in all, median {}, p90 {}, largest {}", sizes.len(), at(50), at(90), at(100))
}

struct Function {
    name: String,
    line: usize,
    lines: usize,
}

fn functions(source: &Source) -> Vec<Function> {
    let mut finder = Finder { found: Vec::new() };
    finder.visit_file(&source.syntax);
    finder.found
}

struct Finder {
    found: Vec<Function>,
}

impl Finder {
    fn add(&mut self, signature: &Signature, body: &Block) {
        let line = signature.span().start().line;
        let lines = body.span().end().line + 1 - line;
        self.found.push(Function { name: signature.ident.to_string(), line, lines });
    }
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test_only(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        if !is_test_only(&function.attrs) {
            self.add(&function.sig, &function.block);
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        if let Some(body) = &function.default {
            self.add(&function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::example;
    use super::*;

    fn findings(text: &str, ratchet: &str) -> Vec<String> {
        let sources = [example("infra/x/src/a.rs", text)];
        let ratchet = Ratchet::parse(ratchet).unwrap();
        check(&sources, &ratchet).iter().map(ToString::to_string).collect()
    }

    fn function(lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "    work();\n".repeat(lines - 2))
    }

    #[test]
    fn a_long_function_is_found_wherever_it_stands() {
        let message = "long has 81 lines, the most is 80: split it by concept";
        assert_eq!(findings(&function(81), ""), [format!("infra/x/src/a.rs:1: {message}")]);
        for around in ["impl S {", "mod inner {", "trait T {"] {
            let found = findings(&format!("{around}\n{}}}", function(81)), "");
            assert_eq!(found, [format!("infra/x/src/a.rs:2: {message}")], "{around}");
        }
        assert_eq!(findings(&function(80), ""), [""; 0]);
        assert_eq!(findings(&format!("#[cfg(test)]\nmod tests {{ {} }}", function(90)), ""), [""; 0]);
    }

    #[test]
    fn a_long_file_is_found() {
        let found = findings(&"const X: u8 = 1;\n".repeat(801), "");
        assert_eq!(found, ["infra/x/src/a.rs: the file has 801 lines, the most is 800: split it by concept"]);
        assert_eq!(findings(&"const X: u8 = 1;\n".repeat(800), ""), [""; 0]);
    }

    #[test]
    fn the_list_of_old_offenders_only_gets_shorter() {
        let list = "# old\ninfra/x/src/a.rs::long 85\n";
        assert_eq!(findings(&function(85), list), [""; 0]);
        let grown = "infra/x/src/a.rs:1: long has 86 lines, the most is 85: split it by concept";
        assert_eq!(findings(&function(86), list), [grown]);
        let shrunk = "dev/xtask/tidy-ratchet.txt: infra/x/src/a.rs::long is smaller than 85 now: ";
        assert_eq!(findings(&function(82), list), [format!("{shrunk}write 82")]);
        assert_eq!(findings(&function(20), list), [format!("{shrunk}remove the line")]);
        assert!(Ratchet::parse("something else\n").is_err());
    }
}
