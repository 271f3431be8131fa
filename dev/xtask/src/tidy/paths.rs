//! Every path that the code of a file names, outside tests: in `use`, in expressions and types, inside macros.

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{ExprCall, ImplItemFn, Item, Macro, UseTree};

use super::source::{Source, attributes, is_test_only};

/// A path with where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// Its words: `["std", "fs"]`.
    pub(crate) words: Vec<String>,
    pub(crate) line: usize,
    /// How many arguments it is called with, if it is called.
    pub(crate) arguments: Option<usize>,
}

impl Named {
    /// Whether it begins with these words.
    pub(crate) fn begins(&self, words: &[&str]) -> bool {
        self.words.len() >= words.len() && self.words.iter().zip(words).all(|(a, b)| a == b)
    }

    /// Whether it ends with these words.
    pub(crate) fn ends(&self, words: &[&str]) -> bool {
        self.words.len() >= words.len()
            && self.words.iter().rev().zip(words.iter().rev()).all(|(a, b)| a == b)
    }

    /// Whether this word is in it.
    pub(crate) fn has(&self, word: &str) -> bool {
        self.words.iter().any(|own| own == word)
    }
}

/// All of them, and the lines of `async` code as paths of the one word `async`.
pub(crate) fn of(source: &Source) -> Vec<Named> {
    let mut finder = Finder::default();
    finder.visit_file(&source.syntax);
    finder.found
}

#[derive(Default)]
struct Finder {
    found: Vec<Named>,
}

impl Finder {
    fn add(&mut self, words: Vec<String>, line: usize, arguments: Option<usize>) {
        self.found.push(Named { words, line, arguments });
    }

    fn add_use(&mut self, before: &[String], tree: &UseTree) {
        let with = |word: &syn::Ident| -> Vec<String> {
            before.iter().cloned().chain(std::iter::once(word.to_string())).collect()
        };
        match tree {
            UseTree::Path(path) => self.add_use(&with(&path.ident), &path.tree),
            UseTree::Name(name) => self.add(with(&name.ident), name.span().start().line, None),
            UseTree::Rename(rename) => self.add(with(&rename.ident), rename.span().start().line, None),
            UseTree::Glob(glob) => self.add(before.to_vec(), glob.span().start().line, None),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_use(before, tree)),
        }
    }

    /// Macros are not parsed: words joined by `::` are paths.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut words: Vec<String> = Vec::new();
        let (mut line, mut colons) = (0, 0);
        for token in tokens {
            match &token {
                TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
                TokenTree::Ident(word) => {
                    if colons != 2 && !words.is_empty() {
                        self.add(std::mem::take(&mut words), line, None);
                    }
                    line = token.span().start().line;
                    words.push(word.to_string());
                    colons = 0;
                }
                TokenTree::Group(group) => {
                    if !words.is_empty() {
                        self.add(std::mem::take(&mut words), line, None);
                    }
                    self.add_tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    if !words.is_empty() {
                        self.add(std::mem::take(&mut words), line, None);
                    }
                }
            }
        }
        if !words.is_empty() {
            self.add(words, line, None);
        }
    }
}

fn words(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test_only(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if !is_test_only(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_use(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.add(words(path), path.span().start().line, None);
        visit::visit_path(self, path);
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let syn::Expr::Path(function) = &*call.func {
            self.add(words(&function.path), call.span().start().line, Some(call.args.len()));
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_macro(&mut self, found: &'ast Macro) {
        self.add(words(&found.path), found.span().start().line, None);
        self.add_tokens(found.tokens.clone());
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if let Some(word) = signature.asyncness {
            self.add(vec!["async".to_owned()], word.span.start().line, None);
        }
        visit::visit_signature(self, signature);
    }

    fn visit_expr_async(&mut self, block: &'ast syn::ExprAsync) {
        self.add(vec!["async".to_owned()], block.async_token.span.start().line, None);
        visit::visit_expr_async(self, block);
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::example;
    use super::*;

    fn all(text: &str) -> Vec<String> {
        of(&example("core/x/src/a.rs", text)).iter().map(|named| named.words.join("::")).collect()
    }

    #[test]
    fn grouped_uses_are_taken_apart() {
        let found = all("use std::{fs::{self, File}, net::*, time::Instant as Now};");
        assert_eq!(found, ["std::fs::self", "std::fs::File", "std::net", "std::time::Instant"]);
    }

    #[test]
    fn paths_inside_macros_are_seen() {
        let found = all("fn f() { assert!(x == std::time::Instant::now(), \"{}\", a::b(c::d)); }");
        for path in ["std::time::Instant::now", "a::b", "c::d"] {
            assert!(found.iter().any(|seen| seen == path), "{path} in {found:?}");
        }
    }

    #[test]
    fn tests_are_not_looked_at() {
        assert_eq!(
            all("#[cfg(test)] mod tests { use std::fs; } #[test] fn t() { std::fs::read(\"x\"); }"),
            [""; 0]
        );
    }
}
