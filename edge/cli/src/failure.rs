//! A command that did not do what was asked, as it is told to people.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};

use kogge_client::{ClientError, InvalidApi, LocateError};

/// What failed then why, what to do, and the exit code that says so to programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    text: String,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    /// A failure with exit code 1.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), hint: None, code: 1 }
    }

    /// Arguments that make no sense: exit code 2.
    #[must_use]
    pub fn usage(text: impl Into<String>) -> Self {
        Self { code: 2, ..Self::new(text) }
    }

    /// Adds what to do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whoever read our output has gone: nothing to tell, nobody to tell it to. 128 + SIGPIPE, as a shell says it.
    fn output_closed() -> Self {
        Self { text: String::new(), hint: None, code: 141 }
    }

    /// The process's exit code.
    #[must_use]
    pub const fn code(&self) -> u8 {
        self.code
    }

    /// The sentence.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What to do, when there is something.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// `error` with its causes, each once.
    fn chain(error: &dyn Error) -> String {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let next = error.to_string();
            if !text.contains(&next) {
                text.push_str(": ");
                text.push_str(&next);
            }
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Failure {}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self { hint: error.hint(), ..Self::new(Self::chain(&error)) }
    }
}

impl From<LocateError> for Failure {
    fn from(error: LocateError) -> Self {
        Self::new(Self::chain(&error)).with_hint(error.hint())
    }
}

impl From<InvalidApi> for Failure {
    fn from(error: InvalidApi) -> Self {
        Self::usage(error.to_string()).with_hint("kogge doors --output json tells the URL of a cloud's API")
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(failure) => failure,
            Err(error) => Self::new(Self::chain(error.as_ref())),
        }
    }
}

/// Only writing to our own output gives bare errors: everything else says what it was about.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::output_closed();
        }
        Self::new(format!("cannot write the output: {error}"))
    }
}

/// Tells `failure`: `error: …`, an empty line, `hint: …`. Colour only repeats the words.
///
/// # Errors
/// When `out` takes no more.
pub fn report(failure: &Failure, out: &mut dyn Write, is_colored: bool) -> io::Result<()> {
    if failure.text.is_empty() {
        return Ok(());
    }
    let (red, cyan, plain) = if is_colored { ("\x1b[1;31m", "\x1b[1;36m", "\x1b[0m") } else { ("", "", "") };
    writeln!(out, "{red}error:{plain} {}", failure.text)?;
    match &failure.hint {
        Some(hint) => writeln!(out, "\n{cyan}hint:{plain} {hint}"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(failure: &Failure) -> String {
        let mut out = Vec::new();
        report(failure, &mut out, false).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_error_an_empty_line_and_a_hint() {
        assert_eq!(told(&Failure::new("it broke")), "error: it broke\n");
        assert_eq!(
            told(&Failure::new("it broke").with_hint("mend it")),
            "error: it broke\n\nhint: mend it\n"
        );
    }

    #[test]
    fn causes_are_told_once() {
        let cause = io::Error::other("disk full");
        let error = anyhow::Error::new(cause).context("cannot save").context("cannot deploy");
        assert_eq!(Failure::from(error).text(), "cannot deploy: cannot save: disk full");
    }

    #[test]
    fn a_reader_that_went_away_is_told_nothing() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((told(&failure).as_str(), failure.code()), ("", 141));
    }
}
