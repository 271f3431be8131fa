//! The systemd unit: what its restarts and the machine's do to tasks.

use anyhow::{Context, bail};
use serde_json::Value;

use super::guest::Guest;
use super::{containers, web};

/// Installs the program and its unit as a person would.
pub(crate) fn install(guest: &mut Guest) -> anyhow::Result<()> {
    guest.prints("stat -f -c %T /sys/fs/cgroup", "cgroup2fs")?;
    guest.ok("mkdir -p /kit && mount -o ro LABEL=kit /kit")?;
    guest.ok("install -m 755 /kit/kogge /usr/local/bin/kogge")?;
    guest.ok("install -m 644 /kit/kogge.service /etc/systemd/system/kogge.service")?;
    guest.ok("echo 'LABEL=kit /kit ext2 ro,nofail 0 0' >> /etc/fstab")?;
    guest.ok("systemctl daemon-reload && systemctl enable --now kogge && sync")?;
    guest.is_up()?;
    guest.did_not_stumble()
}

/// Tasks have the same processes before and after, and limits stay in force while nobody looks after them.
pub(crate) fn restarts(guest: &mut Guest) -> anyhow::Result<()> {
    let before = guest.processes()?;
    if before.len() < 3 {
        bail!("too few tasks to look at: {before:?}");
    }
    guest.ok("systemctl stop kogge")?;
    if guest.ok("systemctl is-active kogge || true")? == "active" {
        bail!("the unit is active after it was stopped");
    }
    guest.fails("kogge status")?;
    // systemd sets up its cgroups anew; those of tasks are not its own.
    guest.ok("systemctl daemon-reload")?;
    for (task, (pid, started)) in &before {
        let now = guest.start_time(*pid).with_context(|| format!("task {task} ended with the unit"))?;
        if now != *started {
            bail!("process {pid} of task {task} is another one now");
        }
    }
    guest.ok("systemctl start kogge")?;
    settled(guest)?;
    containers::limits_stand(guest)?;
    guest.ok("systemctl restart kogge")?;
    settled(guest)?;
    guest.did_not_stumble()?;
    let pid = guest.is_up()?["pid"].clone();
    guest.ok("systemctl kill --kill-whom=main --signal=KILL kogge")?;
    guest.until("systemd has started the cloud again", |guest| {
        Ok((guest.kogge("status")?["pid"] != pid).then_some(()))
    })?;
    settled(guest)?;
    let after = guest.processes()?;
    if before != after {
        bail!("tasks were touched: {before:?} before, {after:?} after");
    }
    Ok(())
}

/// The machine goes down in order and comes up again.
pub(crate) fn reboot(guest: &mut Guest) -> anyhow::Result<()> {
    let images = images(guest)?;
    let boot = boot_id(guest)?;
    // The connection goes down with the machine: whether the command succeeded is told by what comes.
    let _ = guest.machine.shell("systemctl reboot");
    loop {
        guest.machine.log_in()?;
        // During the way down one may get in once more.
        if boot_id(guest).is_ok_and(|now| now != boot) {
            break;
        }
    }
    is_whole(guest, &images)
}

/// The cloud came up by itself and at once, its services run, its images are those.
pub(crate) fn is_whole(guest: &Guest, images: &Value) -> anyhow::Result<()> {
    guest.is_up()?;
    settled(guest)?;
    guest.did_not_stumble()?;
    let now = self::images(guest)?;
    if now != *images {
        bail!("images are not what they were: {images} before, {now} after");
    }
    Ok(())
}

/// Names and digests of all images.
pub(crate) fn images(guest: &Guest) -> anyhow::Result<Value> {
    guest.kogge("image list")
}

/// All services run, and the app answers.
fn settled(guest: &Guest) -> anyhow::Result<()> {
    guest.is_up()?;
    guest.healthy("inside", 1)?;
    web::answers(guest)
}

fn boot_id(guest: &Guest) -> anyhow::Result<String> {
    guest.ok("cat /proc/sys/kernel/random/boot_id")
}
