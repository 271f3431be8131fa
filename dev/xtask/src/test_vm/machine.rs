//! A virtual machine: QEMU, and one ssh connection that all commands share.

use std::fmt;
use std::fs::{self, File};
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::disk::Base;
use crate::program::output;

/// The kernel says something in a moment, or KVM does not work here.
const FIRST_WORD: Duration = Duration::from_secs(15);
/// QEMU takes connections for a guest that is not there yet; then nobody answers.
const GREETING: Duration = Duration::from_secs(2);

/// Who executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accelerator {
    Kvm,
    Emulation,
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "with KVM",
            Self::Emulation => "emulated",
        })
    }
}

/// The kernel's check of the timer takes an emulation that was held up for broken hardware, and stops.
const APPEND: &str = "root=LABEL=root rw console=ttyS0 panic=-1 no_timer_check";

/// Whether KVM can be tried.
pub(crate) fn has_kvm() -> bool {
    File::options().read(true).write(true).open("/dev/kvm").is_ok()
}

/// See the module. What runs is ended when it is dropped.
pub(crate) struct Machine {
    accelerator: Accelerator,
    kernel: PathBuf,
    initrd: PathBuf,
    key: PathBuf,
    overlay: PathBuf,
    kit: PathBuf,
    /// Of this run: overlay, console, control socket of ssh.
    scratch: PathBuf,
    qemu: Option<Process>,
    ssh: Option<Process>,
    port: u16,
}

impl Machine {
    /// A machine that is switched off, with a fresh overlay of the base disk.
    pub(crate) fn new(
        base: &Base,
        scratch: &Path,
        kit: &Path,
        accelerator: Accelerator,
    ) -> anyhow::Result<Self> {
        let overlay = scratch.join("overlay.qcow2");
        let mut create = Command::new("qemu-img");
        create.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"]).arg(base.disk()).arg(&overlay);
        output(&mut create)?;
        Ok(Self {
            accelerator,
            kernel: base.kernel(),
            initrd: base.initrd(),
            key: base.key(),
            overlay,
            kit: kit.to_owned(),
            scratch: scratch.to_owned(),
            qemu: None,
            ssh: None,
            port: 0,
        })
    }

    pub(crate) fn accelerator(&self) -> Accelerator {
        self.accelerator
    }

    /// How long anything may take there. An emulated machine is some twenty times slower.
    pub(crate) fn patience(&self) -> Duration {
        match self.accelerator {
            Accelerator::Kvm => Duration::from_secs(60),
            Accelerator::Emulation => Duration::from_secs(300),
        }
    }

    /// Switches it on, and waits until one can log in.
    pub(crate) fn boot(&mut self) -> anyhow::Result<()> {
        // Free now; nobody else on this machine asks for ports so quickly that it is not a moment later.
        self.port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let talk = File::create(self.scratch.join("qemu.log"))?;
        let mut command = Command::new("qemu-system-x86_64");
        let append = match self.accelerator {
            Accelerator::Kvm => {
                command.args(["-accel", "kvm", "-cpu", "host"]);
                APPEND.to_owned()
            }
            // What newer processors have, and what guards them against each other, costs an emulation twice the time.
            Accelerator::Emulation => {
                command.args(["-accel", "tcg,thread=multi", "-cpu", "Westmere"]);
                format!("{APPEND} quiet mitigations=off")
            }
        };
        command.args(["-no-user-config", "-nodefaults", "-display", "none", "-smp", "2", "-m", "1536"]);
        command.arg("-kernel").arg(&self.kernel).arg("-initrd").arg(&self.initrd);
        command.args(["-append", &append]);
        command.arg("-serial").arg(format!("file:{}", self.console().display()));
        // Power is lost for the guest alone: what QEMU has taken is in this machine's page cache, which stays. So
        // flushes need not reach this machine's disk, and only pages that the guest did not write out are lost.
        command.arg("-drive");
        command.arg(format!("file={},if=virtio,format=qcow2,cache=unsafe", self.overlay.display()));
        command.arg("-drive");
        command.arg(format!("file={},if=virtio,format=raw,readonly=on", self.kit.display()));
        command.arg("-netdev");
        command.arg(format!("user,id=wire,restrict=on,hostfwd=tcp:127.0.0.1:{}-:22", self.port));
        command.args(["-device", "virtio-net-pci,netdev=wire", "-device", "virtio-rng-pci"]);
        self.qemu = Some(Process::start(command.stdout(talk.try_clone()?).stderr(talk))?);
        if self.accelerator == Accelerator::Kvm {
            self.until(FIRST_WORD, "its kernel says nothing", |machine| {
                Ok(fs::metadata(machine.console()).is_ok_and(|console| console.len() > 0))
            })?;
        }
        self.log_in()
    }

    /// Looks until `is_so`.
    fn until(
        &mut self,
        limit: Duration,
        why: &str,
        mut is_so: impl FnMut(&mut Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + limit;
        while !is_so(self)? {
            self.must_run()?;
            if Instant::now() > deadline {
                bail!("{why}, {limit:?} after the machine was switched on");
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Opens the connection that all commands share.
    pub(crate) fn log_in(&mut self) -> anyhow::Result<()> {
        self.ssh = None;
        self.until(self.patience(), "nobody can log in", |machine| Ok(machine.greets()))?;
        self.until(self.patience(), "nobody is let in", Self::has_let_in)
    }

    /// Whether somebody answers who speaks ssh.
    fn greets(&self) -> bool {
        let mut word = [0; 4];
        let greeting = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).and_then(|mut stream| {
            stream.set_read_timeout(Some(GREETING))?;
            stream.read_exact(&mut word)
        });
        greeting.is_ok() && &word == b"SSH-"
    }

    fn has_let_in(&mut self) -> anyhow::Result<bool> {
        if self.ssh.as_mut().is_none_or(Process::has_ended) {
            let _ = fs::remove_file(self.control());
            let mut master = self.ssh_command();
            master.args(["-M", "-N", "root@127.0.0.1"]).stdout(Stdio::null()).stderr(Stdio::null());
            self.ssh = Some(Process::start(&mut master)?);
        }
        let check = self.ssh_command().args(["-O", "check", "root@127.0.0.1"]).output()?;
        Ok(self.control().exists() && check.status.success())
    }

    /// Fails when QEMU has ended, or KVM has given up.
    fn must_run(&mut self) -> anyhow::Result<()> {
        let said = fs::read_to_string(self.scratch.join("qemu.log")).unwrap_or_default();
        if self.qemu.as_mut().is_none_or(Process::has_ended) {
            bail!("the machine has ended: {}", said.trim());
        }
        if said.contains("KVM internal error") {
            bail!("{}", said.lines().next().unwrap_or_default());
        }
        Ok(())
    }

    /// Takes its power away, at once.
    pub(crate) fn lose_power(&mut self) {
        self.qemu = None;
        self.ssh = None;
    }

    /// A shell script that runs there; it is given up after `limit`.
    pub(crate) fn command(&self, script: &str, limit: Duration) -> Command {
        let ssh = self.ssh_command();
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=5", &limit.as_secs().to_string()])
            .arg(ssh.get_program())
            .args(ssh.get_args());
        command.args(["root@127.0.0.1", script]).stdin(Stdio::null());
        command
    }

    /// Runs a shell script there to its end.
    pub(crate) fn shell(&self, script: &str) -> anyhow::Result<Output> {
        self.command(script, self.patience()).output().context("cannot run ssh")
    }

    fn ssh_command(&self) -> Command {
        let mut command = Command::new("ssh");
        command.args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "LogLevel=ERROR",
            "-o",
            "ConnectTimeout=20",
        ]);
        // The machine is ours and new: there is nobody to mistake it for.
        command.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
        // Cheap for an emulated processor.
        command.args(["-o", "KexAlgorithms=curve25519-sha256", "-o", "ServerAliveInterval=15"]);
        command.arg("-o").arg(format!("ControlPath={}", self.control().display()));
        command.args(["-p", &self.port.to_string(), "-i"]).arg(&self.key).stdin(Stdio::null());
        command
    }

    fn control(&self) -> PathBuf {
        self.scratch.join("ssh")
    }

    fn console(&self) -> PathBuf {
        self.scratch.join("console.log")
    }

    /// The end of what stood on its console.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read(self.console()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        format!("console:\n{}", lines[lines.len().saturating_sub(30)..].join("\n"))
    }
}

/// A process of ours, killed when dropped.
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> anyhow::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        Ok(Self(command.stdin(Stdio::null()).spawn().with_context(|| format!("cannot start {name}"))?))
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
