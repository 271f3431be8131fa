//! What a container can see and do.

use std::fs;
use std::os::fd::AsRawFd as _;

use kogge_model::task::Exit;

use crate::fixture::{Fixture, SHIM};

#[test]
fn only_the_standard_descriptors_are_inherited() {
    // One more is the directory that `ls` reads.
    let fixture = Fixture::shell("ls /proc/self/fd; echo; readlink /proc/self/fd/0");
    fixture.run();
    assert_eq!(fixture.log(), "0\n1\n2\n3\n\n/dev/null\n");
}

#[test]
fn nothing_of_the_supervisor_is_inherited() {
    let script = "env; grep -E '^Sig(Blk|Ign):' /proc/self/status; cat /proc/self/oom_score_adj; umask";
    let fixture = Fixture::new(&["sh", "-c", script]);
    fixture.run();
    let log = fixture.log();
    assert!(!log.contains("KOGGE") && log.contains("GREETING=hello"), "{log}");
    let ignored = log.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
    // 32 and 33 belong to the C library, which lets nobody change them.
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & !(0b11 << 31), 0, "{log}");
    assert!(log.contains("SigBlk:\t0000000000000000\n") && log.ends_with("\n0\n0022\n"), "{log}");
}

#[test]
fn the_first_process_is_confined() {
    let script = "grep -E '^(Seccomp|NoNewPrivs|CapBnd):' /proc/self/status; ls /proc | grep -c '^[0-9]'; \
        mknod /tmp/null c 1 3 || echo no node; mount -t tmpfs x /tmp || echo no mount; \
        head -c 1 /proc/kcore | wc -c; echo 1 > /proc/sys/kernel/panic || echo read-only";
    let fixture = Fixture::shell(script);
    assert_eq!(fixture.run().exit, Exit::Code { code: 0 });
    let log = fixture.log();
    for line in [
        "Seccomp:\t2",
        "NoNewPrivs:\t1",
        "CapBnd:\t00000000000000e1",
        "no node",
        "no mount",
        "\n0\n",
        "read-only",
    ] {
        assert!(log.contains(line), "{line:?} in {log}");
    }
}

#[test]
fn a_user_without_privileges_can_open_its_own_output() {
    let mut fixture = Fixture::shell("echo out > /dev/stdout; echo err > /dev/stderr");
    fixture.spec["process"]["user"] = serde_json::json!({ "uid": 65534, "gid": 65534 });
    assert_eq!(fixture.run().exit, Exit::Code { code: 0 });
    assert!(fixture.log().contains("out") && fixture.log().contains("err"), "{}", fixture.log());
}

#[test]
fn a_read_only_root_refuses_writes() {
    let mut fixture = Fixture::shell("touch /x || echo refused; touch /dev/shm/x && echo scratch");
    fixture.spec["root"]["readonly"] = true.into();
    fixture.run();
    let log = fixture.log();
    assert!(log.contains("refused") && log.contains("scratch"), "{log}");
}

#[test]
fn writes_go_to_the_upper_directory_and_never_to_the_layer() {
    let fixture = Fixture::shell("echo new > /etc/new; echo changed > /etc/passwd");
    assert_eq!(fixture.run().exit, Exit::Code { code: 0 });
    let layer = fixture.root().join("layer");
    assert!(
        !layer.join("etc/new").exists()
            && fs::read_to_string(layer.join("etc/passwd")).unwrap().contains("root")
    );
    assert_eq!(fs::read_to_string(fixture.config.bundle.join("upper/etc/new")).unwrap(), "new\n");
}

#[test]
fn many_layers_with_long_paths_can_be_mounted() {
    let mut fixture = Fixture::shell("ls /layers | wc -l");
    let base = fixture.root().join("x".repeat(200));
    let kogge_shim::config::Rootfs::Overlay { lowers, .. } = &mut fixture.config.rootfs else {
        unreachable!()
    };
    for number in 0..120 {
        let layer = base.join(format!("{}-{number}", "y".repeat(60)));
        fs::create_dir_all(layer.join("layers")).unwrap();
        fs::write(layer.join("layers").join(number.to_string()), "").unwrap();
        lowers.push(layer);
    }
    fixture.run();
    assert_eq!(fixture.log(), "120\n");
}

#[test]
fn the_program_of_shims_cannot_be_written_through_proc() {
    let mut fixture = Fixture::new(&["sleep", "1000"]);
    // A copy of its own: a program that other tests run cannot be written for another reason.
    let program = fixture.root().join("program");
    crate::bundle::copy_program(SHIM, &program);
    fixture.use_program(&program);
    let client = fixture.start();
    let shim = fixture.block_on(client.ping()).unwrap().shim_pid;
    // What a container's root could get hold of, and open anew when the program has ended.
    let held = fs::File::open(format!("/proc/{shim}/exe")).unwrap();
    fixture.block_on(client.delete(true)).unwrap();
    let write =
        |path: &std::path::Path| fs::OpenOptions::new().write(true).open(path).map_err(|error| error.kind());
    // It has answered, but may not have ended yet: until then nobody can write it, for that reason.
    crate::fixture::wait_until("the program runs no more", || {
        write(&program).err() != Some(std::io::ErrorKind::ExecutableFileBusy)
    });
    let through_proc = write(std::path::Path::new(&format!("/proc/self/fd/{}", held.as_raw_fd())));
    assert_eq!(through_proc.unwrap_err(), std::io::ErrorKind::ReadOnlyFilesystem);
    assert!(write(&program).is_ok(), "the file itself can be written");
}
