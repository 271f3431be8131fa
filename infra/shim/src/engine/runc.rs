//! A runtime that is a program with runc's command line (runc, crun).

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::unistd::Pid;

use super::launcher::set_window;
use super::{Container, Engine, EngineError, Joined, Joining, JoiningStdio, remove_dir};
use crate::protocol::WindowSize;
use crate::{socket, sys};

/// The longest part of the program's talk that is passed on, in characters.
const MAX_TALK_CHARS: usize = 1_000;

/// See the module.
pub(super) struct Tool {
    pub(super) program: PathBuf,
}

/// Files of one call, removed with it.
struct Scratch(PathBuf);

impl Engine for Tool {
    fn start(&self, container: &Container, stdio: [OwnedFd; 3]) -> Result<Pid, EngineError> {
        let scratch = Scratch::new(container)?;
        let mut create = self.command(container, &scratch);
        create.arg("create").arg("--bundle").arg(&container.bundle);
        create.arg("--pid-file").arg(scratch.pid_file()).arg(&container.id);
        connect(&mut create, stdio);
        self.run(create, "create", &scratch)?;
        let mut start = self.command(container, &scratch);
        start.arg("start").arg(&container.id);
        self.run(start, "start", &scratch)?;
        scratch.pid()
    }

    fn join(&self, container: &Container, joining: Joining) -> Result<Joined, EngineError> {
        let scratch = Scratch::new(container)?;
        let process = scratch.0.join("process.json");
        let text = serde_json::to_vec(&joining.process).expect("a process is plain data");
        fs::write(&process, text).map_err(EngineError::system("write the process"))?;
        let mut exec = self.command(container, &scratch);
        exec.arg("exec").arg("--detach").arg("--process").arg(&process);
        exec.arg("--pid-file").arg(scratch.pid_file());
        let console = match joining.stdio {
            JoiningStdio::Files(stdio) => {
                connect(&mut exec, stdio);
                None
            }
            JoiningStdio::Terminal(size) => {
                let path = scratch.0.join("console.sock");
                let listener = UnixListener::bind(&path)
                    .map_err(EngineError::system("make a socket for the terminal"))?;
                exec.arg("--console-socket").arg(&path);
                Some((listener, size))
            }
        };
        exec.arg(&container.id);
        self.run(exec, "exec", &scratch)?;
        let terminal =
            console.map(|(listener, size)| receive_terminal(&listener, size)).transpose()?.flatten();
        Ok(Joined { pid: scratch.pid()?, terminal })
    }

    fn forget(&self, container: &Container) -> Result<(), EngineError> {
        if container.state_dir().exists() {
            let scratch = Scratch::new(container)?;
            let mut delete = self.command(container, &scratch);
            delete.arg("delete").arg("--force").arg(&container.id);
            // Its processes and its cgroup are gone already; what matters is that the state goes.
            let _ = self.run(delete, "delete", &scratch);
        }
        remove_dir(&container.state_dir()).map_err(EngineError::system("remove the container's state"))
    }
}

impl Tool {
    fn command(&self, container: &Container, scratch: &Scratch) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&container.state_root).arg("--log").arg(scratch.log());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let caller = nix::unistd::getpid();
        let bind = move || if sys::die_with(caller) { Ok(()) } else { Err(Errno::ESRCH.into()) };
        // SAFETY: two system calls, no memory is taken.
        #[expect(unsafe_code, reason = "it runs between fork and exec")]
        unsafe {
            command.pre_exec(bind)
        };
        command
    }

    fn run(&self, mut command: Command, action: &'static str, scratch: &Scratch) -> Result<(), EngineError> {
        let status =
            command.status().map_err(|source| EngineError::Tool { program: self.program.clone(), source })?;
        if status.success() {
            return Ok(());
        }
        let talk = fs::read_to_string(scratch.log()).unwrap_or_default();
        let talk: String = talk.trim().chars().take(MAX_TALK_CHARS).collect();
        let talk = if talk.is_empty() { status.to_string() } else { talk };
        Err(EngineError::ToolFailed { program: self.program.clone(), action, talk })
    }
}

fn connect(command: &mut Command, stdio: [OwnedFd; 3]) {
    let [stdin, stdout, stderr] = stdio;
    command.stdin(File::from(stdin)).stdout(File::from(stdout)).stderr(File::from(stderr));
}

fn receive_terminal(listener: &UnixListener, size: WindowSize) -> Result<Option<OwnedFd>, EngineError> {
    let (stream, _) = listener.accept().map_err(EngineError::system("receive the terminal"))?;
    let (mut name, mut fds) = ([0; 64], Vec::new());
    socket::receive(&stream, &mut name, &mut fds).map_err(EngineError::system("receive the terminal"))?;
    let terminal = fds.pop();
    if let Some(terminal) = &terminal {
        set_window(terminal, size);
    }
    Ok(terminal)
}

impl Scratch {
    fn new(container: &Container) -> Result<Self, EngineError> {
        let dir = container.state_root.join(format!(".{}-{}", container.id, std::process::id()));
        fs::create_dir_all(&dir).map_err(EngineError::system("make a directory for the runtime's files"))?;
        Ok(Self(dir))
    }

    fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    fn pid_file(&self) -> PathBuf {
        self.0.join("pid")
    }

    fn pid(&self) -> Result<Pid, EngineError> {
        let text = fs::read_to_string(self.pid_file())
            .map_err(EngineError::system("read the runtime's pid file"))?;
        text.trim().parse().map(Pid::from_raw).map_err(|_| EngineError::NoPid)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = remove_dir(Path::new(&self.0));
    }
}
