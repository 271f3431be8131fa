//! Asking before something is gone for good.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::failure::Failure;

/// Asks on standard error and reads `y` or `yes` from standard input.
///
/// # Errors
/// When nobody can be asked, or the answer is not yes.
pub(crate) fn confirm(question: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(format!("nobody is there to be asked: {question}"))
            .with_hint("say --yes to do it without a question"));
    }
    let mut talk = io::stderr();
    let asked = write!(talk, "{question} [y/N] ").and_then(|()| talk.flush());
    let mut answer = String::new();
    let read = asked.and_then(|()| io::stdin().lock().read_line(&mut answer));
    let is_yes = matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes");
    if read.is_ok() && is_yes {
        Ok(())
    } else {
        Err(Failure::new("nothing was changed: the answer was not yes"))
    }
}
