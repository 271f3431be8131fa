//! From a bare process to a supervisor: everything before the container is started.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use kogge_model::fault::Faults;
use kogge_model::log_record::LogStream;
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use oci_spec::runtime::Spec;
use rustix::fs::{Gid, Uid};
use rustix::pipe::{PipeFlags, pipe_with};

use super::logs::Logs;
use super::mounts::{self, MountError};
use super::output::OutputPipe;
use super::supervisor::Supervisor;
use super::tenancy::Tenancy;
use super::watchdog::Watchdog;
use crate::cgroup::Cgroup;
use crate::config::{ConfigError, LeaseTerms, ShimConfig};
use crate::engine::Container;
use crate::process::helper::Helper;
use crate::protocol::{LOG_DIR, SOCKET_FILE};
use crate::socket::ShortPath;
use crate::spec;

/// Between −1000 and 1000 (proc(5)): the kernel takes nearly everything else first.
const OWN_OOM_SCORE_ADJ: &str = "-900";

/// Why a shim could not begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrepareError {
    #[error("cannot {action}")]
    System { action: &'static str, source: io::Error },
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("cannot read the OCI spec in {bundle}", bundle = bundle.display())]
    Spec { bundle: PathBuf, source: oci_spec::OciSpecError },
    #[error("the OCI spec is refused")]
    Refused(#[source] Faults),
    #[error(transparent)]
    Mount(#[from] MountError),
}

impl PrepareError {
    fn system(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { action, source }
    }

    fn errno<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> Self {
        move |errno| Self::System { action, source: errno.into() }
    }
}

/// Everything up to the helper that starts the container.
pub(super) fn prepare(dir: &Path) -> Result<Supervisor, PrepareError> {
    let signals = become_supervisor()?;
    let lock = keep_lock()?;
    let config = ShimConfig::load(dir)?;
    let spec = load_checked_spec(&config)?;
    let cgroup_path = spec::cgroup_path(&spec).expect("a checked spec names its cgroup");
    let cgroup = Cgroup::locate(&cgroup_path).map_err(PrepareError::system("find the cgroup"))?;
    let owner = owner(&spec);
    let forbids_swap = spec::forbids_swap(&spec);
    drop(spec);
    // First of all that is made: its watchdog holds nothing of the rest.
    let tenancy = config.lease.map(|terms| guarded(&cgroup, terms)).transpose();
    let tenancy = tenancy.map_err(PrepareError::system("watch over the lease"))?;
    mounts::enter_namespace()?;
    mounts::mount(&config.rootfs)?;
    let listener = listen(dir)?;
    let (stdio, output) = output_pipes(owner)?;
    let log_dir = dir.join(LOG_DIR);
    fs::create_dir_all(&log_dir).map_err(PrepareError::system("make the log directory"))?;
    let logs = Logs::new(log_dir, config.logs, output);
    fs::create_dir_all(&config.state_root)
        .map_err(PrepareError::system("make the runtime's state directory"))?;
    let (container, engine) = (Container::of(&config), config.engine.engine());
    let container = if forbids_swap { container.without_swap(cgroup.clone()) } else { container };
    let helper = Helper::start(|| {
        let pid = engine.start(&container, stdio)?;
        Ok::<_, crate::engine::EngineError>(crate::engine::Joined { pid, terminal: None })
    });
    let helper = helper.map_err(PrepareError::system("start a helper"))?;
    Ok(Supervisor::new(
        dir.to_owned(),
        config,
        container,
        cgroup,
        lock,
        signals,
        listener,
        logs,
        helper,
        tenancy,
    ))
}

fn guarded(cgroup: &Cgroup, terms: LeaseTerms) -> io::Result<Tenancy> {
    Ok(Tenancy::new(terms)?.guarded_by(Watchdog::start(cgroup, terms)?))
}

/// A session of its own, orphans of the task come here, and signals are read, not suffered.
fn become_supervisor() -> Result<SignalFd, PrepareError> {
    // Fails if the spawner made a session already, which is as good.
    let _ = rustix::process::setsid();
    nix::sys::prctl::set_child_subreaper(true).map_err(PrepareError::errno("become the subreaper"))?;
    let _ = nix::sys::prctl::set_name(c"kogge-shim");
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let mut watched = SigSet::empty();
    watched.add(Signal::SIGCHLD);
    watched.add(Signal::SIGTERM);
    watched.thread_block().map_err(PrepareError::errno("block signals"))?;
    for ignored in
        [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGPIPE, Signal::SIGUSR1, Signal::SIGUSR2]
    {
        // SAFETY: ignoring a signal installs no handler.
        #[expect(unsafe_code, reason = "changing a signal's action is unsafe in general")]
        unsafe { signal(ignored, SigHandler::SigIgn) }.map_err(PrepareError::errno("ignore signals"))?;
    }
    // Without CAP_SYS_RESOURCE it may not go below what was inherited.
    let _ = fs::write("/proc/self/oom_score_adj", OWN_OOM_SCORE_ADJ);
    SignalFd::with_flags(&watched, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(PrepareError::errno("watch signals"))
}

/// Standard input is the lock: it moves out of the way and stays for as long as the shim lives.
fn keep_lock() -> Result<OwnedFd, PrepareError> {
    let lock = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)
        .map_err(PrepareError::errno("keep the lock"))?;
    let null = open_null()?;
    rustix::stdio::dup2_stdin(&null).map_err(PrepareError::errno("leave standard input"))?;
    Ok(lock)
}

/// Leaves the spawner's pipe; standard error stays `shim.log`.
pub(super) fn leave_stdout() {
    if let Ok(null) = open_null() {
        let _ = rustix::stdio::dup2_stdout(&null);
    }
}

fn load_checked_spec(config: &ShimConfig) -> Result<Spec, PrepareError> {
    let bundle = &config.bundle;
    let spec =
        spec::load_spec(bundle).map_err(|source| PrepareError::Spec { bundle: bundle.clone(), source })?;
    spec::check_spec(&spec, bundle, &config.rootfs).map_err(PrepareError::Refused)?;
    Ok(spec)
}

fn listen(dir: &Path) -> Result<UnixListener, PrepareError> {
    let path = ShortPath::new(dir, SOCKET_FILE).map_err(PrepareError::system("open the shim's directory"))?;
    // The umask makes it mode 0600 or less.
    let listener = UnixListener::bind(path.as_path()).map_err(PrepareError::system("make the socket"))?;
    listener.set_nonblocking(true).map_err(PrepareError::system("make the socket"))?;
    Ok(listener)
}

/// As whom the task runs.
fn owner(spec: &Spec) -> (Uid, Gid) {
    let user = spec.process().as_ref().map(oci_spec::runtime::Process::user);
    let (uid, gid) = user.map_or((0, 0), |user| (user.uid(), user.gid()));
    (Uid::from_raw(uid), Gid::from_raw(gid))
}

/// The task's standard input, output and error, and our ends of the last two. The task's ends belong to its user, or
/// it could not open `/dev/stdout`.
fn output_pipes(owner: (Uid, Gid)) -> Result<([OwnedFd; 3], [OutputPipe; 2]), PrepareError> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(PrepareError::errno("make a pipe"));
    let ((out_ours, out_theirs), (err_ours, err_theirs)) = (pipe()?, pipe()?);
    for ours in [&out_ours, &err_ours] {
        rustix::io::ioctl_fionbio(ours.as_fd(), true).map_err(PrepareError::errno("make a pipe"))?;
    }
    for theirs in [&out_theirs, &err_theirs] {
        rustix::fs::fchown(theirs, Some(owner.0), Some(owner.1))
            .map_err(PrepareError::errno("give a pipe away"))?;
    }
    let output = [OutputPipe::new(LogStream::Stdout, out_ours), OutputPipe::new(LogStream::Stderr, err_ours)];
    Ok(([open_null()?, out_theirs, err_theirs], output))
}

fn open_null() -> Result<OwnedFd, PrepareError> {
    let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null");
    Ok(null.map_err(PrepareError::system("open /dev/null"))?.into())
}
