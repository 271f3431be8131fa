//! Errors of the parts, for people.

use kogge_cli::Failure;

/// An error of a part, with its causes, in one sentence.
pub(crate) fn failure(what: &str, error: &(dyn std::error::Error + 'static)) -> Failure {
    let mut text = format!("{what}: {error}");
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(&format!(": {source}"));
        cause = source.source();
    }
    Failure::new(text)
}

/// With what to do about it, if there is something to do.
pub(crate) fn hinted(failed: Failure, hint: Option<String>) -> Failure {
    match hint {
        Some(hint) => failed.with_hint(hint),
        None => failed,
    }
}
