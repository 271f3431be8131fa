//! What the end of a process means.

use kogge_model::reason::Reason;
use kogge_model::task::{Exit, Outcome, TaskSpec};

/// The verdict on a process that was not told to end. A child that the kernel killed for lack of memory is mentioned:
/// often it is the cause.
pub(crate) fn own_end(exit: Exit, oom_kills: u64, spec: Option<&TaskSpec>) -> (Outcome, Reason) {
    let (outcome, mut reason) = match exit {
        Exit::Code { code: 0 } => (Outcome::Finished, Reason::new("ended by itself with exit code 0")),
        Exit::Code { code } => (Outcome::Failed, code_reason(code)),
        Exit::Signal { signal } => {
            (Outcome::Failed, Reason::new(format!("killed by {}", signal_words(signal))))
        }
        Exit::OutOfMemory => return (Outcome::Failed, memory_reason(spec)),
    };
    if oom_kills > 0 {
        reason.text.push_str("; before that the kernel killed a process of it for lack of memory");
    }
    (outcome, reason)
}

/// The words for a process that was told to end because of `why`.
pub(crate) fn ordered_end(exit: Exit, why: &Reason) -> Reason {
    let how = match exit {
        Exit::Code { code } => format!("exit code {code}"),
        Exit::Signal { signal } => signal_words(signal),
        Exit::OutOfMemory => exit.to_string(),
    };
    Reason { text: format!("{} ({how})", why.text), hint: why.hint.clone() }
}

/// Codes that shells and the runtime give a meaning (POSIX, Shell Command Language 2.8.2).
fn code_reason(code: i32) -> Reason {
    match code {
        126 => Reason::new("exit code 126: its program cannot be executed")
            .with_hint("check that the file is executable and built for this machine"),
        127 => Reason::new("exit code 127: its program was not found")
            .with_hint("check the command, and that the image has the program"),
        129..=192 => {
            Reason::new(format!("exit code {code}: its command was killed by {}", signal_words(code - 128)))
        }
        _ => Reason::new(format!("exit code {code}")),
    }
}

fn memory_reason(spec: Option<&TaskSpec>) -> Reason {
    let Some(limit) = spec.map(|spec| spec.template.limits.mem_bytes) else {
        return Reason::new("out of memory: its limit was reached");
    };
    Reason::new(format!("out of memory: its limit of {limit} was reached"))
        .with_hint("raise the limit with --mem, or let it use less")
}

/// Number and name, as in signal(7) for x86 and ARM.
fn signal_words(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return format!("signal {signal}"),
    };
    format!("signal {signal} ({name})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_apart() {
        for (exit, outcome, text) in [
            (Exit::Code { code: 0 }, Outcome::Finished, "ended by itself with exit code 0"),
            (Exit::Code { code: 3 }, Outcome::Failed, "exit code 3"),
            (Exit::Code { code: 127 }, Outcome::Failed, "exit code 127: its program was not found"),
            (
                Exit::Code { code: 137 },
                Outcome::Failed,
                "exit code 137: its command was killed by signal 9 (SIGKILL)",
            ),
            (Exit::Signal { signal: 9 }, Outcome::Failed, "killed by signal 9 (SIGKILL)"),
            (Exit::Signal { signal: 40 }, Outcome::Failed, "killed by signal 40"),
            (Exit::OutOfMemory, Outcome::Failed, "out of memory: its limit was reached"),
        ] {
            let (found, reason) = own_end(exit, 0, None);
            assert_eq!((found, reason.text.as_str()), (outcome, text));
        }
    }

    #[test]
    fn an_ordered_end_keeps_the_order_and_says_how_it_went() {
        let reason = ordered_end(Exit::Signal { signal: 9 }, &Reason::new("scaled down"));
        assert_eq!(reason.text, "scaled down (signal 9 (SIGKILL))");
    }
}
