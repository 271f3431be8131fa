//! What holds for a task on pure cgroup v2.

use anyhow::{Context, bail};

use super::guest::Guest;

/// The task that is looked at.
const SERVICE: &str = "inside";

/// Limits as they were asked for and as the kernel tells them
/// (kernel documentation, admin-guide/cgroup-v2.rst, "Interface Files").
const LIMITS: &[(&str, &str)] =
    &[("memory.max", "67108864"), ("memory.swap.max", "0"), ("pids.max", "64"), ("cpu.max", "50000 100000")];

pub(crate) fn limits(guest: &mut Guest) -> anyhow::Result<()> {
    guest.ok("kogge image load /kit/busybox.tar --name box:1")?;
    guest.ok(&format!(
        "kogge deploy --image box:1 --name {SERVICE} --command 'while true; do sleep 1; done' \
         --cpus 0.5 --mem 64M --pids 64"
    ))?;
    limits_stand(guest)
}

/// The task's limits are in force.
pub(crate) fn limits_stand(guest: &Guest) -> anyhow::Result<()> {
    let pid = pid(guest)?;
    for (file, expected) in LIMITS {
        guest.prints(&format!("cat /sys/fs/cgroup$(sed s/^0::// /proc/{pid}/cgroup)/{file}"), expected)?;
    }
    Ok(())
}

/// Nodes are made from outside, as tasks cannot, for devices that need no other right than to be opened: only the
/// device rule stands between the task and the machine's disk. Outside the task the same node opens.
pub(crate) fn devices(guest: &mut Guest) -> anyhow::Result<()> {
    let dev = format!("/proc/{}/root/dev", pid(guest)?);
    guest.ok(&format!("mknod -m 666 {dev}/disk b $(stat -c '0x%t 0x%T' /dev/vda)"))?;
    guest.ok(&format!("mknod -m 666 {dev}/line c $(stat -c '0x%t 0x%T' /dev/ttyS0)"))?;
    guest.prints(&format!("head -c 512 {dev}/disk | wc -c"), "512")?;
    guest.ok(&format!(": > {dev}/line"))?;
    for inside in ["head -c 512 /dev/disk", ": > /dev/line"] {
        let said = guest.fails(&format!("kogge exec {SERVICE} -- sh -c '{inside}'"))?;
        if !said.contains("Operation not permitted") {
            bail!("`{inside}` failed for another reason: {said}");
        }
    }
    guest.prints(&format!("kogge exec {SERVICE} -- sh -c 'head -c 4 /dev/zero | wc -c'"), "4")?;
    guest.fails(&format!("kogge exec {SERVICE} -- mknod /tmp/disk b 8 0"))?;
    guest.ok(&format!("rm {dev}/disk {dev}/line"))?;
    Ok(())
}

/// Mode 2 is a filter (proc(5), `status`).
pub(crate) fn exec(guest: &mut Guest) -> anyhow::Result<()> {
    let confined = "NoNewPrivs:\t1\nSeccomp:\t2";
    let look = "grep -E \"^(NoNewPrivs|Seccomp):\"";
    guest.prints(&format!("{look} /proc/{}/status", pid(guest)?), confined)?;
    guest.prints(&format!("kogge exec {SERVICE} -- sh -c '{look} /proc/self/status'"), confined)?;
    let cgroup = guest.ok(&format!("cat /proc/{}/cgroup", pid(guest)?))?;
    let found = guest.until("what is executed shows up in the task's cgroup", |guest| {
        let script = format!(
            "kogge exec {SERVICE} -- sleep 4321 & \
             for i in $(seq 200); do pid=$(pgrep -x -f 'sleep 4321') && break; sleep 0.1; done; \
             cat /proc/$pid/cgroup; kill $pid; wait"
        );
        guest.ok(&script).map(Some)
    })?;
    if found != cgroup {
        bail!("what is executed is in {found} and not in {cgroup}");
    }
    Ok(())
}

pub(crate) fn out_of_memory(guest: &mut Guest) -> anyhow::Result<()> {
    // It looks for the beginning of the last line, and there is none.
    guest.ok("kogge deploy --detach --name hog --mem 32M --command 'exec tail /dev/zero'")?;
    guest.until("an end for lack of memory", |guest| {
        let all = guest.kogge("ps --all")?;
        let is_told = all.as_array().into_iter().flatten().any(|instance| {
            let reason = instance["reason"].as_str().unwrap_or_default();
            instance["service"] == "hog" && reason.contains("out of memory")
        });
        Ok(is_told.then_some(()))
    })?;
    guest.ok("kogge destroy --yes hog")?;
    Ok(())
}

fn pid(guest: &Guest) -> anyhow::Result<u64> {
    let instances = guest.healthy(SERVICE, 1)?;
    instances[0]["pid"].as_u64().context("a running instance has a process")
}
