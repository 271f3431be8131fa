//! The last step of every process: inside the container, confined, about to become the program.

use std::ffi::{CString, OsStr};
use std::io::Read as _;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use libcontainer::oci_spec::runtime::{LinuxSeccomp, Spec};
use libcontainer::workload::{Executor, ExecutorError, ExecutorValidationError};
use nix::errno::Errno;

use super::EngineError;
use crate::protocol::WindowSize;

/// Becomes the program, or says why not.
///
/// The library's own launcher tells nobody when the program cannot be run, wants it to be executable for
/// everyone, and leaves processes that join a container without its seccomp profile.
#[derive(Debug, Clone)]
pub(super) struct Launcher {
    /// For processes that join; the library confines the first one itself.
    pub(super) seccomp: Option<Box<LinuxSeccomp>>,
    /// The terminal's size, if there is one.
    pub(super) window: Option<WindowSize>,
    /// Takes the reason of a failure; closed by becoming the program.
    complaint: RawFd,
}

/// The other end of a launcher's complaint.
#[derive(Debug)]
pub(super) struct Complaint {
    read_end: OwnedFd,
    write_end: OwnedFd,
}

impl Complaint {
    pub(super) fn new() -> Result<Self, EngineError> {
        let pipe = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
        let (read_end, write_end) =
            pipe.map_err(|errno| EngineError::System { action: "make a pipe", source: errno.into() })?;
        Ok(Self { read_end, write_end })
    }

    /// A launcher that complains here. It must not outlive this.
    pub(super) fn launcher(&self) -> Launcher {
        Launcher { seccomp: None, window: None, complaint: self.write_end.as_raw_fd() }
    }

    /// Waits until the program runs, or for the reason why it does not.
    pub(super) fn wait(self) -> Result<(), EngineError> {
        drop(self.write_end);
        let mut text = String::new();
        std::fs::File::from(self.read_end)
            .read_to_string(&mut text)
            .map_err(EngineError::system("read the launcher's complaint"))?;
        if text.is_empty() { Ok(()) } else { Err(EngineError::Program(text)) }
    }
}

impl Launcher {
    fn launch(&self, spec: &Spec) -> Result<(), String> {
        let args = spec.process().as_ref().and_then(|process| process.args().as_ref());
        let args = args.filter(|args| !args.is_empty()).ok_or("there is no program to run")?;
        let owned: Result<Vec<CString>, _> = args.iter().map(|arg| CString::new(arg.as_str())).collect();
        let owned = owned.map_err(|_| "an argument has a zero byte".to_owned())?;
        if let Some(size) = self.window {
            set_window(rustix::stdio::stdin(), size);
        }
        if let Some(profile) = &self.seccomp {
            libcontainer::seccomp::initialize_seccomp(profile)
                .map_err(|error| format!("cannot apply the seccomp profile: {error}"))?;
        }
        Err(match become_program(&owned) {
            Errno::ENOENT => {
                format!("cannot run {}: no such program, or its interpreter is missing", args[0])
            }
            Errno::EACCES => format!("cannot run {}: it is not executable for this user", args[0]),
            Errno::ENOEXEC => format!("cannot run {}: it is not a program for this machine", args[0]),
            other => format!("cannot run {}: {}", args[0], other.desc()),
        })
    }
}

impl Executor for Launcher {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let Err(text) = self.launch(spec) else { return Ok(()) };
        #[expect(
            unsafe_code,
            reason = "the library keeps the launcher over a fork, so it holds a plain number"
        )]
        // SAFETY: the number is that of the complaint's write end, which nothing closes before exec.
        let complaint = unsafe { BorrowedFd::borrow_raw(self.complaint) };
        let _ = rustix::io::write(complaint, text.as_bytes());
        Err(ExecutorError::Other(text))
    }

    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        Ok(())
    }
}

/// Searches like execvp(3), but never hands a file that is no program to a shell. Returns only the failure.
fn become_program(args: &[CString]) -> Errno {
    let name = OsStr::from_bytes(args[0].as_bytes());
    let search = std::env::var_os("PATH").unwrap_or_default();
    let candidates: Vec<PathBuf> = if args[0].as_bytes().contains(&b'/') {
        vec![name.into()]
    } else {
        std::env::split_paths(&search).map(|dir| dir.join(name)).collect()
    };
    let mut failure = Errno::ENOENT;
    for candidate in candidates {
        let path = CString::new(candidate.into_os_string().into_vec()).expect("neither part has a zero byte");
        match nix::unistd::execv(&path, args).expect_err("a successful exec does not return") {
            Errno::ENOENT | Errno::ENOTDIR => {}
            Errno::EACCES => failure = Errno::EACCES,
            other => return other,
        }
    }
    failure
}

pub(super) fn set_window(terminal: impl AsFd, size: WindowSize) {
    let size =
        rustix::termios::Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // A terminal without a size is a usable terminal.
    let _ = rustix::termios::tcsetwinsize(terminal, size);
}
