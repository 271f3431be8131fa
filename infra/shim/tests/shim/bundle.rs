//! OCI specs and a root file system of static busybox.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

pub(crate) const MEM_BYTES: u64 = 64 << 20;

/// Copies a program that will be run. Another process does it: a child that a test beside this one forks meanwhile would
/// hold the copy open for writing, and until it has become its own program nobody could run ours.
pub(crate) fn copy_program(from: &str, to: &Path) {
    assert!(std::process::Command::new("cp").arg(from).arg(to).status().unwrap().success());
}

/// A root file system whose every program is busybox.
pub(crate) fn make_rootfs(root: &Path) {
    for dir in ["bin", "proc", "sys", "dev", "tmp", "etc", "root"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    copy_program("/bin/busybox", &root.join("bin/busybox"));
    let programs = [
        "sh", "true", "false", "cat", "ls", "sleep", "echo", "id", "grep", "mkdir", "dd", "yes", "head",
        "kill", "tail", "stty", "mount", "env", "pwd", "printf", "readlink", "touch", "mknod", "tr", "wc",
        "unshare", "test",
    ];
    for program in programs {
        symlink("busybox", root.join("bin").join(program)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/:/bin/sh\n").unwrap();
    // Not executable for everyone, and not a program at all.
    fs::write(root.join("bin/garbage"), b"\x7fELFgarbage").unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(root.join("bin/garbage"), fs::Permissions::from_mode(0o755)).unwrap();
}

/// A confined process running `args`, with limits always set.
pub(crate) fn spec(args: &[&str], root: &Path, cgroup: &str) -> Value {
    let capabilities = json!(["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID"]);
    json!({
        "ociVersion": "1.0.2",
        "root": { "path": root, "readonly": false },
        "hostname": "kogge-test",
        "process": {
            "args": args,
            "cwd": "/",
            "env": ["PATH=/bin:/usr/bin", "HOME=/root", "GREETING=hello"],
            "user": { "uid": 0, "gid": 0 },
            "noNewPrivileges": true,
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
            },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1024 }],
        },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
              "options": ["nosuid", "strictatime", "mode=755", "size=64k"] },
            { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
              "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] },
            { "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
              "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=1m"] },
            { "destination": "/sys", "type": "sysfs", "source": "sysfs",
              "options": ["nosuid", "noexec", "nodev", "ro"] },
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [
                { "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }, { "type": "network" },
            ],
            "resources": {
                "devices": [
                    { "allow": false, "access": "rwm" },
                    { "allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm" },
                    { "allow": true, "type": "c", "major": 1, "minor": 5, "access": "rwm" },
                    { "allow": true, "type": "c", "major": 5, "minor": 0, "access": "rwm" },
                    { "allow": true, "type": "c", "major": 5, "minor": 2, "access": "rwm" },
                    { "allow": true, "type": "c", "major": 136, "access": "rwm" },
                ],
                "memory": { "limit": MEM_BYTES, "swap": MEM_BYTES },
                "cpu": { "shares": 512, "quota": 50_000, "period": 100_000 },
                "pids": { "limit": 64 },
            },
            "seccomp": {
                "defaultAction": "SCMP_ACT_ALLOW",
                "architectures": ["SCMP_ARCH_X86_64"],
                "syscalls": [{ "names": ["unshare", "mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }],
            },
            "maskedPaths": ["/proc/kcore", "/proc/keys"],
            "readonlyPaths": ["/proc/sys"],
        },
    })
}
