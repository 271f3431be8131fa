//! The runtime that is a library in this binary.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::error::LibcontainerError;
use libcontainer::syscall::syscall::SyscallType;
use nix::unistd::Pid;
use oci_spec::runtime::Process;
use rustix::fs::MemfdFlags;

use super::launcher::Complaint;
use super::{Container, Engine, EngineError, Joined, Joining, JoiningStdio, remove_dir};
use crate::socket;

/// See the module.
pub(super) struct Library;

impl Engine for Library {
    fn start(&self, container: &Container, stdio: [OwnedFd; 3]) -> Result<Pid, EngineError> {
        let complaint = Complaint::new()?;
        let [stdin, stdout, stderr] = stdio;
        let mut created = builder(container)
            .map_err(EngineError::Create)?
            .with_executor(complaint.launcher())
            .with_stdin(stdin)
            .with_stdout(stdout)
            .with_stderr(stderr)
            .as_init(&container.bundle)
            .with_systemd(false)
            .build()
            .map_err(EngineError::Create)?;
        if let Some(cgroup) = &container.without_swap {
            cgroup.forbid_swap().map_err(EngineError::system("close the cgroup to swap"))?;
        }
        created.start().map_err(EngineError::Start)?;
        complaint.wait()?;
        let pid = created.pid().ok_or(EngineError::NoPid)?;
        Ok(Pid::from_raw(pid.as_raw()))
    }

    fn join(&self, container: &Container, joining: Joining) -> Result<Joined, EngineError> {
        let complaint = Complaint::new()?;
        let mut launcher = complaint.launcher();
        launcher.seccomp = joining.seccomp.map(Box::new);
        let process = process_file(&joining.process)?;
        let process_path = PathBuf::from(format!("/proc/self/fd/{}", process.as_raw_fd()));
        let mut base = builder(container).map_err(EngineError::Join)?;
        let mut console = None;
        match joining.stdio {
            JoiningStdio::Files([stdin, stdout, stderr]) => {
                base = base.with_stdin(stdin).with_stdout(stdout).with_stderr(stderr);
            }
            JoiningStdio::Terminal(size) => {
                launcher.window = Some(size);
                let (listener, path) = console_socket(container)?;
                base = base.with_console_socket(Some(path.clone()));
                console = Some((listener, path));
            }
        }
        let built = base
            .with_executor(launcher)
            .as_tenant()
            .with_process(Some(process_path))
            .with_detach(true)
            .build();
        let complained = complaint.wait();
        let terminal = console.map(|(listener, path)| receive_terminal(&listener, &path)).transpose();
        complained?;
        let pid = built.map_err(EngineError::Join)?;
        Ok(Joined { pid: Pid::from_raw(pid.as_raw()), terminal: terminal?.flatten() })
    }

    fn forget(&self, container: &Container) -> Result<(), EngineError> {
        remove_dir(&container.state_dir()).map_err(EngineError::system("remove the container's state"))
    }
}

fn builder(container: &Container) -> Result<ContainerBuilder, LibcontainerError> {
    ContainerBuilder::new(container.id.clone(), SyscallType::default())
        .validate_id()?
        .with_root_path(&container.state_root)
}

/// The library takes a process to join only as a file.
fn process_file(process: &Process) -> Result<File, EngineError> {
    let text = serde_json::to_vec(process).expect("a process is plain data");
    let fd = rustix::fs::memfd_create("process", MemfdFlags::CLOEXEC)
        .map_err(|errno| EngineError::System { action: "make a memory file", source: errno.into() })?;
    let mut file = File::from(fd);
    file.write_all(&text).map_err(EngineError::system("write a memory file"))?;
    Ok(file)
}

fn console_socket(container: &Container) -> Result<(UnixListener, PathBuf), EngineError> {
    let name = format!("console-{}.sock", std::process::id());
    let dir = container.state_dir();
    let short =
        socket::ShortPath::new(&dir, &name).map_err(EngineError::system("open the container's state"))?;
    let listener =
        UnixListener::bind(short.as_path()).map_err(EngineError::system("make a socket for the terminal"))?;
    listener.set_nonblocking(true).map_err(EngineError::system("make a socket for the terminal"))?;
    Ok((listener, dir.join(name)))
}

/// The master end, which the library sent before the program was run; none if it did not come that far.
fn receive_terminal(listener: &UnixListener, path: &PathBuf) -> Result<Option<OwnedFd>, EngineError> {
    let _ = std::fs::remove_file(path);
    let Ok((stream, _)) = listener.accept() else { return Ok(None) };
    stream.set_nonblocking(true).map_err(EngineError::system("receive the terminal"))?;
    let (mut name, mut fds) = ([0; 64], Vec::new());
    socket::receive(&stream, &mut name, &mut fds).map_err(EngineError::system("receive the terminal"))?;
    Ok(fds.pop())
}
