//! Bundles run by a real runtime: what the spec promises is what the kernel does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use std::path::{Path, PathBuf};
use std::process::Command;

use kogge_containers::bundle::{
    ContainerSpec, ExtraMount, HOST_WORK_DIR, NOBODY, NetworkPlace, RootFiles, TaskLimits, write_bundle,
};
use kogge_containers::image::ResolvedUser;

fn spec(dir: &Path, root: RootFiles, uid: u32, script: &str) -> ContainerSpec {
    let unique = dir.file_name().unwrap().to_str().unwrap().trim_start_matches('.').to_owned();
    ContainerSpec {
        argv: vec!["/bin/busybox".to_owned(), "sh".to_owned(), "-c".to_owned(), script.to_owned()],
        env: vec!["GREETING=hello".to_owned()],
        cwd: None,
        user: ResolvedUser { uid, gid: uid, ..ResolvedUser::default() },
        hostname: "inside".to_owned(),
        root,
        limits: TaskLimits { cpu_millis: 500, mem_bytes: 64 << 20, swap_bytes: 0, pids: 64, open_files: 256 },
        network: NetworkPlace::Host,
        cgroup: PathBuf::from(format!("/kogge-test-{unique}/task")),
        mounts: Vec::new(),
    }
}

/// Runs the bundle with runc, after `mount` has made its root in a mount namespace of their own, as the shim
/// does. Returns what it prints, line by line.
fn run(dir: &Path, spec: &ContainerSpec, mount: &str) -> Vec<String> {
    let bundle = dir.join("bundle");
    write_bundle(&bundle, spec).unwrap();
    let id =
        format!("kogge-test-{}", std::process::id()) + &spec.cgroup.display().to_string().replace('/', "-");
    let rootfs = match &spec.root {
        RootFiles::Image { rootfs, .. } | RootFiles::Host { rootfs, .. } => rootfs,
    };
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "slave", "sh", "-c", &format!("{mount} && exec runc \"$@\"")])
        .arg(rootfs)
        .arg("--root")
        .arg(dir.join("state"))
        .args(["run", "--bundle"])
        .arg(&bundle)
        .arg(&id)
        .output()
        .unwrap();
    remove_cgroups(&spec.cgroup);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// runc removes the task's own cgroup, but not the parent.
fn remove_cgroups(cgroup: &Path) {
    let parent = cgroup.parent().unwrap().strip_prefix("/").unwrap();
    for hierarchy in std::fs::read_dir("/sys/fs/cgroup").unwrap() {
        let _ = std::fs::remove_dir(hierarchy.unwrap().path().join(parent));
    }
    let _ = std::fs::remove_dir(Path::new("/sys/fs/cgroup").join(parent));
}

fn busybox_root(dir: &Path) -> PathBuf {
    let root = dir.join("root");
    for name in ["bin", "etc", "tmp", "proc", "sys", "dev"] {
        std::fs::create_dir_all(root.join(name)).unwrap();
    }
    std::fs::write(root.join("bin/busybox"), fixture::busybox()).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(root.join("bin/busybox"), mode).unwrap();
    root
}

/// Each line of the script prints `name=value`.
fn value<'a>(lines: &'a [String], name: &str) -> &'a str {
    let prefix = format!("{name}=");
    lines
        .iter()
        .find_map(|line| line.strip_prefix(&prefix))
        .unwrap_or_else(|| panic!("no {name} in {lines:?}"))
}

const PROBE: &str = r#"
b=/bin/busybox
status() { $b sed -n "s/^$1:[ \t]*//p" /proc/self/status; }
try() { name=$1; shift; if "$@" >/dev/null 2>&1; then echo "$name=yes"; else echo "$name=no"; fi; }
echo "seccomp=$(status Seccomp)"
echo "no_new_privs=$(status NoNewPrivs)"
echo "capabilities=$(status CapBnd)"
echo "uid=$($b id -u)"
echo "pid=$$"
echo "host=$($b hostname)"
echo "greeting=$GREETING"
echo "files=$(ulimit -n)"
echo "fds=$($b ls /proc/self/fd | $b tr '\n' ' ')"
echo "null=$($b stat -c %F /dev/null)"
try mknod $b mknod /tmp/disk b 8 0
try mount $b mount -t tmpfs none /tmp
try unshare $b unshare -m $b true
try user_namespace $b unshare -U $b true
try chroot $b chroot / /bin/busybox true
try write_root $b touch /made
try write_proc $b sh -c 'echo 1 > /proc/sys/kernel/panic'
try write_sys $b touch /sys/made
try write_cgroup $b sh -c 'echo 1 > /sys/fs/cgroup/memory/memory.limit_in_bytes'
try read_kcore $b sh -c '[ -s /proc/kcore ] && $b head -c1 /proc/kcore | $b grep -q .'
"#;

#[test]
fn a_container_is_kept_small_by_the_kernel_itself() {
    let dir = tempfile::tempdir().unwrap();
    let rootfs = busybox_root(dir.path());
    let root = RootFiles::Image { rootfs, is_read_only: true };
    let mut spec = spec(dir.path(), root, 0, PROBE);
    spec.mounts =
        vec![ExtraMount::Tmpfs { target: PathBuf::from("/tmp"), size_bytes: 1 << 20, mode: 0o1777 }];
    let lines = run(dir.path(), &spec, "mount --bind $0 $0");
    for (name, expected) in [
        ("seccomp", "2"),
        ("no_new_privs", "1"),
        // chown, dac_override, fowner, fsetid, kill, setgid, setuid, net_bind_service
        ("capabilities", "00000000000004fb"),
        ("uid", "0"),
        ("pid", "1"),
        ("host", "inside"),
        ("greeting", "hello"),
        ("files", "256"),
        ("null", "character special file"),
    ] {
        assert_eq!(value(&lines, name), expected, "{name}");
    }
    for forbidden in [
        "mknod",
        "mount",
        "unshare",
        "user_namespace",
        "chroot",
        "write_root",
        "write_proc",
        "write_sys",
        "write_cgroup",
        "read_kcore",
    ] {
        assert_eq!(value(&lines, forbidden), "no", "{forbidden}");
    }
    assert!(value(&lines, "fds").trim().split(' ').count() <= 4, "only 0 to 2 and the listing itself");
}

#[test]
fn a_command_on_the_machines_files_sees_no_secrets_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("data");
    std::fs::create_dir(&secret).unwrap();
    std::fs::write(secret.join("state"), "of the cloud").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path(), mode).unwrap();
    let rootfs = dir.path().join("host");
    let root = RootFiles::Host { rootfs, work_dir: dir.path().join("work"), hidden: vec![secret.clone()] };
    let script = format!(
        r#"{PROBE}
echo "cwd=$($b pwd)"
echo "home=$HOME"
try write_work $b touch made
try write_tmp $b touch /tmp/made
try write_var_tmp $b touch /var/tmp/made
try read_shadow $b sh -c '[ -s /etc/shadow ]'
try read_root $b sh -c '[ -n "$($b ls -A /root)" ]'
try read_home $b sh -c '[ -n "$($b ls -A /home)" ]'
try read_run $b sh -c '[ -n "$($b ls -A /run)" ]'
try read_data $b sh -c '[ -n "$($b ls -A {})" ]'
try run_host_program /usr/bin/env true
"#,
        secret.display()
    );
    let lines = run(dir.path(), &spec(dir.path(), root, NOBODY, &script), "mount --rbind / $0");
    for (name, expected) in [
        ("seccomp", "2"),
        ("capabilities", "0000000000000000"),
        ("uid", "65534"),
        ("cwd", HOST_WORK_DIR),
        ("home", HOST_WORK_DIR),
        ("write_work", "yes"),
        ("write_tmp", "yes"),
        ("write_var_tmp", "yes"),
        ("run_host_program", "yes"),
    ] {
        assert_eq!(value(&lines, name), expected, "{name}");
    }
    for forbidden in [
        "mknod",
        "mount",
        "user_namespace",
        "chroot",
        "write_root",
        "write_proc",
        "write_sys",
        "read_shadow",
        "read_root",
        "read_home",
        "read_run",
        "read_data",
    ] {
        assert_eq!(value(&lines, forbidden), "no", "{forbidden}");
    }
    assert!(dir.path().join("work/made").exists(), "what it writes is on the disk");
    assert!(
        Path::new("/dev/ptmx").exists() && !Path::new("/dev/core").exists(),
        "the machine's /dev is untouched"
    );
}
