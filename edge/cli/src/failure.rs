//! A command that did not do what was asked, as it is told to people.

use std::collections::BTreeSet;
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
    /// Fields of the request that break rules.
    fields: Vec<String>,
}

impl Failure {
    /// A failure with exit code 1.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: without_numbers(&text.into()), hint: None, code: 1, fields: Vec::new() }
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
        Self { code: 141, ..Self::new("") }
    }

    /// Whoever typed something that breaks rules is told where the words of `command` are explained.
    pub(crate) fn in_command(self, command: &str) -> Self {
        if self.hint.is_some() || self.fields.is_empty() {
            return self;
        }
        let help = format!("see `kogge {command} --help`");
        let options = if command == "deploy" { deploy_options(&self.fields) } else { BTreeSet::new() };
        if options.is_empty() {
            return self.with_hint(help);
        }
        let options: Vec<&str> = options.into_iter().collect();
        self.with_hint(format!("check {}; {help}", options.join(", ")))
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
        let fields = match &error {
            ClientError::Refused(problem) => problem.faults.iter().map(|fault| fault.field.clone()).collect(),
            _ => Vec::new(),
        };
        Self { hint: error.hint(), fields, ..Self::new(Self::chain(&error)) }
    }
}

impl From<LocateError> for Failure {
    fn from(error: LocateError) -> Self {
        Self::new(Self::chain(&error)).with_hint(error.hint())
    }
}

impl From<InvalidApi> for Failure {
    fn from(error: InvalidApi) -> Self {
        Self::usage(error.to_string()).with_hint(error.hint())
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

/// Options of `kogge deploy` by the last word of the fields they set.
const DEPLOY_OPTIONS: [(&str, &str); 21] = [
    ("name", "--name"),
    ("image", "--image"),
    ("command", "--command"),
    ("env", "--env"),
    ("cpu_millis", "--cpus"),
    ("mem_bytes", "--mem"),
    ("disk_bytes", "--disk"),
    ("pids", "--pids"),
    ("instances", "--instances"),
    ("network", "--network"),
    ("ports", "--port"),
    ("health", "--health"),
    ("constraints", "--on"),
    ("routes", "--host"),
    ("user", "--user"),
    ("min_healthy_percent", "--min-healthy"),
    ("max_surge_percent", "--max-surge"),
    ("deadline_ms", "--deadline"),
    ("lease_ms", "--lease"),
    ("kill_grace_ms", "--kill-grace"),
    ("drain_ms", "--drain"),
];

fn deploy_options(fields: &[String]) -> BTreeSet<&'static str> {
    let words = fields.iter().flat_map(|field| field.split(['.', '[']));
    let option =
        |word: &str| DEPLOY_OPTIONS.iter().find(|(field, _)| *field == word).map(|(_, option)| *option);
    words.filter_map(option).collect()
}

/// Numbers of errors of the kernel say nothing that its words do not.
fn without_numbers(text: &str) -> String {
    let mut rest = text;
    let mut plain = String::new();
    while let Some((before, after)) = rest.split_once(" (os error ") {
        plain.push_str(before);
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    plain + rest
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
    fn broken_rules_lead_to_the_options_that_broke_them() {
        let fields =
            ["template.limits.mem_bytes", "health.check", "constraints[1]"].map(str::to_owned).to_vec();
        let failure = Failure { fields, ..Failure::new("3 fields break rules") };
        let hint = "check --health, --mem, --on; see `kogge deploy --help`";
        assert_eq!(failure.clone().in_command("deploy").hint(), Some(hint));
        assert_eq!(failure.in_command("scale").hint(), Some("see `kogge scale --help`"));
        assert_eq!(Failure::new("it broke").in_command("deploy").hint(), None);
    }

    #[test]
    fn numbers_of_the_kernel_are_left_out() {
        let text = format!("cannot open f: {}: then", io::Error::from_raw_os_error(2));
        assert_eq!(Failure::new(text).text(), "cannot open f: No such file or directory: then");
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
