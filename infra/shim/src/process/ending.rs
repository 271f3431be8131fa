//! The verdict on a task that has ended.

use kogge_model::task::Exit;
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;

/// What a shell reports for a child that was killed with SIGKILL.
const SHELL_KILLED: i32 = 128 + Signal::SIGKILL as i32;

/// How a process ended; none if it has not.
pub(super) fn exit_of(status: WaitStatus) -> Option<Exit> {
    match status {
        WaitStatus::Exited(_, code) => Some(Exit::Code { code }),
        WaitStatus::Signaled(_, signal, _) => Some(Exit::Signal { signal: signal as i32 }),
        _ => None,
    }
}

/// The verdict and why, from how the first process ended, how many processes the kernel killed for lack of
/// memory, and the last signal that was asked for.
pub(super) fn verdict(exit: Exit, oom_kills: u64, asked: Option<i32>) -> (Exit, String) {
    let is_killed = match exit {
        Exit::Signal { signal } => signal == Signal::SIGKILL as i32 && asked != Some(signal),
        // A shell that waits for the killed process ends like this.
        Exit::Code { code } => code == SHELL_KILLED && asked.is_none(),
        Exit::OutOfMemory => true,
    };
    if oom_kills > 0 && is_killed {
        let killed = plural(oom_kills);
        return (
            Exit::OutOfMemory,
            format!("out of memory: its limit was reached and the kernel killed {killed}"),
        );
    }
    let mut reason = match (exit, asked) {
        (Exit::Signal { signal }, Some(asked)) if signal == asked => format!("{exit}, as asked for"),
        (_, Some(asked)) => format!("{exit}, after it was sent signal {asked}"),
        (_, None) => exit.to_string(),
    };
    if oom_kills > 0 {
        reason.push_str(&format!("; the kernel had killed {} for lack of memory", plural(oom_kills)));
    }
    (exit, reason)
}

fn plural(processes: u64) -> String {
    if processes == 1 { "one of its processes".to_owned() } else { format!("{processes} of its processes") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILLED: Exit = Exit::Signal { signal: 9 };

    #[test]
    fn a_killed_task_is_out_of_memory_only_if_the_kernel_says_so_and_nobody_asked() {
        assert_eq!(verdict(KILLED, 1, None).0, Exit::OutOfMemory);
        assert_eq!(verdict(KILLED, 1, Some(15)).0, Exit::OutOfMemory);
        assert_eq!(verdict(KILLED, 1, Some(9)).0, KILLED);
        assert_eq!(verdict(KILLED, 0, None), (KILLED, "killed by signal 9".to_owned()));
        assert_eq!(verdict(Exit::Code { code: 137 }, 2, None).0, Exit::OutOfMemory);
    }

    #[test]
    fn a_child_that_ran_out_of_memory_is_mentioned() {
        let (exit, reason) = verdict(Exit::Code { code: 3 }, 2, None);
        assert_eq!(exit, Exit::Code { code: 3 });
        assert_eq!(reason, "exit code 3; the kernel had killed 2 of its processes for lack of memory");
    }
}
