//! Every queue has a bound and a written answer to "what when full".

use super::finding::Finding;
use super::paths::{self, Named};
use super::source::Source;

/// Channels without a bound.
pub(crate) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for named in paths::of(source).into_iter().filter(is_unbounded) {
        let message = format!(
            "{} has no bound: use a bounded channel, say what happens when full",
            named.words.join("::")
        );
        findings.push(Finding::new(&source.path, named.line, message));
    }
    findings.dedup();
    findings
}

fn is_unbounded(named: &Named) -> bool {
    const NAMES: [&str; 4] = ["unbounded_channel", "unbounded", "UnboundedSender", "UnboundedReceiver"];
    let last = named.words.last().map_or("", String::as_str);
    // tokio's `mpsc::channel` takes its bound; the one of std that takes none has none.
    let is_std = named.begins(&["std", "sync", "mpsc", "channel"])
        || (named.ends(&["mpsc", "channel"]) && named.arguments == Some(0))
        || (named.words == ["channel"] && named.arguments == Some(0));
    NAMES.contains(&last) || is_std
}

#[cfg(test)]
mod tests {
    use super::super::source::example;
    use super::*;

    fn findings(text: &str) -> usize {
        check(&example("daemons/agent/src/a.rs", text)).len()
    }

    #[test]
    fn channels_without_a_bound_are_found() {
        for text in [
            "use tokio::sync::mpsc::unbounded_channel;",
            "fn f() { let (a, b) = mpsc::unbounded_channel::<u8>(); }",
            "use tokio::sync::mpsc::{self, UnboundedReceiver};",
            "struct S { sender: mpsc::UnboundedSender<u8> }",
            "fn f() { let (a, b) = crossbeam_channel::unbounded(); }",
            "use std::sync::mpsc::channel;",
            "fn f() { let (a, b) = std::sync::mpsc::channel(); }",
            "use std::sync::mpsc; fn f() { let (a, b) = mpsc::channel(); }",
            "fn f() { select! { x = futures::channel::mpsc::unbounded() => {} } }",
        ] {
            assert!(findings(text) > 0, "{text}");
        }
    }

    #[test]
    fn bounded_channels_pass() {
        let text = "use tokio::sync::{mpsc, oneshot, watch};
            fn f() { mpsc::channel::<u8>(16); oneshot::channel::<u8>(); std::sync::mpsc::sync_channel::<u8>(4); }";
        assert_eq!(findings(text), 0);
    }
}
