//! `cargo xtask test-vm`: a real Debian machine, pure cgroup v2 under systemd, that is restarted and loses power.
//!
//! Build hosts often have neither. The machine is made from Debian packages and kept; each run works on an overlay of it.
//! A part is a file: a function from the guest to nothing, or to what went wrong.

mod containers;
mod disk;
mod guest;
mod machine;
mod power;
mod unit;
mod web;

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};

use crate::dist;
use crate::program::{copy, output, talk};
use crate::tidy::root;
use disk::Base;
use guest::Guest;
use machine::{Accelerator, Machine};

/// Arguments of `cargo xtask test-vm`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Try this program instead of target/dist/kogge
    #[arg(long, value_name = "PROGRAM")]
    kogge: Option<PathBuf>,
    /// How often the machine loses power
    #[arg(long, value_name = "TIMES", default_value_t = 10)]
    losses: u32,
    /// Do not try KVM
    #[arg(long)]
    emulate: bool,
}

/// Makes the machine, installs the program there, and goes through all parts.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("a disk with a Debian system is made as root");
    }
    let begin = Instant::now();
    let folder = root().join("target/vm");
    std::fs::create_dir_all(&folder)?;
    let base = Base::obtain(&folder)?;
    let scratch = tempfile::Builder::new().prefix("run-").tempdir_in(&folder)?;
    let kit = kit(arguments, scratch.path())?;
    let mut guest = start(&base, scratch.path(), &kit, arguments.emulate)?;
    let done = parts(&mut guest, arguments.losses, begin);
    if done.is_err() {
        talk(&guest.last_words());
    }
    done?;
    talk(&format!(
        "test-vm: all of it holds, {} s, {}",
        begin.elapsed().as_secs(),
        guest.machine.accelerator()
    ));
    Ok(())
}

fn parts(guest: &mut Guest, losses: u32, begin: Instant) -> anyhow::Result<()> {
    let mut part = |name: &str, check: &mut dyn FnMut(&mut Guest) -> anyhow::Result<()>| {
        check(guest).with_context(|| name.to_owned())?;
        talk(&format!("test-vm: {:>4} s  {name}", begin.elapsed().as_secs()));
        Ok::<(), anyhow::Error>(())
    };
    part("the unit starts the cloud on pure cgroup v2", &mut unit::install)?;
    part("limits of a task stand in its cgroup", &mut containers::limits)?;
    part("devices of the machine are denied to tasks", &mut containers::devices)?;
    part("what is executed in a task is confined as the task is", &mut containers::exec)?;
    part("a task out of memory is told apart", &mut containers::out_of_memory)?;
    part("an app answers through the router", &mut web::deploy)?;
    part("stop, start, restart and death of the unit touch no task", &mut unit::restarts)?;
    part("after a reboot all services are back and images are whole", &mut unit::reboot)?;
    part("no acknowledged write is lost with the power", &mut |guest| power::losses(guest, losses))
}

/// What is carried to the machine, as a file system of its own: quicker than a network of an emulated machine.
/// The app's image is made here, and loaded there by `kogge image load`.
fn kit(arguments: &Arguments, scratch: &std::path::Path) -> anyhow::Result<PathBuf> {
    let folder = scratch.join("kit");
    std::fs::create_dir(&folder)?;
    let program = arguments.kogge.clone().unwrap_or_else(|| dist::folder().join("kogge"));
    if !program.is_file() {
        bail!("no program at {}: run `cargo xtask dist` first", program.display());
    }
    copy(&program, &folder.join("kogge"))?;
    copy(&root().join("examples/systemd/kogge.service"), &folder.join("kogge.service"))?;
    kogge_testkit::image::busybox(&folder.join("busybox.tar"));
    let size = std::fs::metadata(&program)?.len() / (1 << 20) + 48;
    let image = scratch.join("kit.img");
    let mut command = Command::new("mke2fs");
    command.args(["-q", "-t", "ext2", "-L", "kit", "-d"]).arg(&folder).arg(&image).arg(format!("{size}M"));
    output(&mut command)?;
    Ok(image)
}

/// Boots it: with KVM where that works, else emulated. A host that is itself a guest may offer a KVM that fails
/// within the guest's first seconds.
fn start(
    base: &Base,
    scratch: &std::path::Path,
    kit: &std::path::Path,
    emulate: bool,
) -> anyhow::Result<Guest> {
    if !emulate && machine::has_kvm() {
        let mut machine = Machine::new(base, scratch, kit, Accelerator::Kvm)?;
        match machine.boot() {
            Ok(()) => return Ok(Guest { machine }),
            Err(error) => {
                talk(&format!("test-vm: KVM does not work here, the machine is emulated ({error:#})"))
            }
        }
    }
    let mut machine = Machine::new(base, scratch, kit, Accelerator::Emulation)?;
    machine.boot().inspect_err(|_| talk(&machine.last_words()))?;
    Ok(Guest { machine })
}
