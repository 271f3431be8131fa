//! `kogge exec`

use std::io::{self, IsTerminal as _};

use kogge_client::{ExecReceiver, ExecSender};
use kogge_model::task::Exit;
use kogge_model::view::exec::{ExecInput, ExecOutput, ExecRequest};
use tokio::io::AsyncWriteExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::args::ExecArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::stdin;
use crate::terminal::{self, Raw};

/// Runs the command; its exit code is ours, as a shell would tell it.
pub(crate) async fn run(context: &mut Context, args: &ExecArgs) -> Result<u8, Failure> {
    let request = request(args, io::stdin().is_terminal() && io::stdout().is_terminal());
    if args.tty && !io::stdin().is_terminal() {
        return Err(Failure::usage("--tty needs a terminal, and standard input is none")
            .with_hint("leave out --tty; --interactive alone sends standard input as it is"));
    }
    let (sender, receiver) = context.client()?.exec(&args.instance, &request).await?;
    let _raw = if request.is_tty { Raw::enter().ok() } else { None };
    let input = if request.is_interactive { Some(stdin::chunks()) } else { None };
    pump(sender, receiver, input).await
}

fn request(args: &ExecArgs, is_terminal: bool) -> ExecRequest {
    let says_nothing = !args.interactive && !args.tty;
    let is_tty = args.tty || (says_nothing && is_terminal);
    let size = if is_tty { terminal::size() } else { None };
    ExecRequest {
        argv: args.argv.clone(),
        is_tty,
        is_interactive: args.interactive || (says_nothing && is_terminal),
        columns: size.map(|(columns, _)| columns),
        rows: size.map(|(_, rows)| rows),
        env: args.env.clone(),
        user: args.user.clone(),
    }
}

/// Carries input, output and sizes until the command has ended.
async fn pump(
    mut sender: ExecSender,
    mut receiver: ExecReceiver,
    mut input: Option<mpsc::Receiver<Vec<u8>>>,
) -> Result<u8, Failure> {
    let mut resized = signal(SignalKind::window_change())?;
    // Ended from outside we still leave the terminal as we found it.
    let (mut terminated, mut hung_up) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let (mut out, mut talk) = (tokio::io::stdout(), tokio::io::stderr());
    let mut is_listening = true;
    loop {
        let next = tokio::select! {
            output = receiver.next() => match output? {
                Some(ExecOutput::Stdout(bytes)) => {
                    out.write_all(&bytes).await?;
                    out.flush().await?;
                    continue;
                }
                Some(ExecOutput::Stderr(bytes)) => {
                    talk.write_all(&bytes).await?;
                    talk.flush().await?;
                    continue;
                }
                Some(ExecOutput::Exit(exit)) => return Ok(code(exit)),
                Some(ExecOutput::Failed(problem)) => {
                    let failure = Failure::new(problem.to_string());
                    return Err(match problem.hint {
                        Some(hint) => failure.with_hint(hint),
                        None => failure,
                    });
                }
                None => return Err(Failure::new("the command ended without an exit code")),
            },
            bytes = read(&mut input), if is_listening => match bytes {
                Some(bytes) => ExecInput::Stdin(bytes),
                None => {
                    input = None;
                    ExecInput::CloseStdin
                }
            },
            Some(()) = terminated.recv() => return Ok(code(Exit::Signal { signal: 15 })),
            Some(()) = hung_up.recv() => return Ok(code(Exit::Signal { signal: 1 })),
            Some(()) = resized.recv() => match terminal::size() {
                Some((columns, rows)) => ExecInput::Resize { columns, rows },
                None => continue,
            },
        };
        // A command that has ended takes no more input: its exit code is on the way.
        is_listening &= input.is_some();
        if sender.send(&next).await.is_err() {
            is_listening = false;
        }
    }
}

async fn read(input: &mut Option<mpsc::Receiver<Vec<u8>>>) -> Option<Vec<u8>> {
    match input {
        Some(input) => input.recv().await,
        None => None,
    }
}

/// As a shell tells it: 128 and the signal's number.
fn code(exit: Exit) -> u8 {
    match exit {
        Exit::Code { code } => u8::try_from(code & 0xff).unwrap_or(1),
        Exit::Signal { signal } => u8::try_from(128 + (signal & 0x7f)).unwrap_or(255),
        Exit::OutOfMemory => 137,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(interactive: bool, tty: bool) -> ExecArgs {
        ExecArgs {
            interactive,
            tty,
            env: Vec::new(),
            user: None,
            instance: "web.1".into(),
            argv: vec!["sh".into()],
        }
    }

    #[test]
    fn a_terminal_is_passed_on_unless_something_else_is_said() {
        let modes = |args, is_terminal| {
            let request = request(&args, is_terminal);
            (request.is_interactive, request.is_tty)
        };
        assert_eq!(modes(args(false, false), true), (true, true));
        assert_eq!(modes(args(false, false), false), (false, false));
        assert_eq!(modes(args(true, false), true), (true, false));
        assert_eq!(modes(args(true, true), false), (true, true));
    }

    #[test]
    fn exit_codes_are_told_as_a_shell_tells_them() {
        for (exit, expected) in [
            (Exit::Code { code: 0 }, 0),
            (Exit::Code { code: 7 }, 7),
            (Exit::Code { code: 256 + 3 }, 3),
            (Exit::Signal { signal: 9 }, 137),
            (Exit::OutOfMemory, 137),
        ] {
            assert_eq!(code(exit), expected);
        }
    }
}
