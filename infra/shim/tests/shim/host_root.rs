//! Commands without an image, on the host's own files.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use kogge_model::task::Exit;
use kogge_shim::client::SpawnError;
use kogge_shim::config::Rootfs;

use crate::fixture::Fixture;

/// A plain command; the fixture's own directory looks empty inside.
fn fixture(script: &str, is_read_only: bool) -> Fixture {
    let mut fixture = Fixture::shell(script);
    let mountpoint = fixture.config.bundle.join("rootfs");
    fs::create_dir_all(&mountpoint).unwrap();
    fixture.spec["root"]["path"] = mountpoint.to_str().unwrap().into();
    let hidden = vec![fixture.root().to_owned(), "/does/not/exist".into()];
    fixture.config.rootfs = Rootfs::Host { mountpoint, is_read_only, hidden };
    fixture
}

fn device(path: &str) -> (u64, u64, u32) {
    let metadata = fs::symlink_metadata(path).unwrap();
    (metadata.ino(), metadata.rdev(), metadata.mode())
}

#[test]
fn a_plain_command_runs_on_the_hosts_files_and_leaves_its_devices_alone() {
    let before = ["/dev/ptmx", "/dev/null", "/dev/tty"].map(device);
    let entries = || fs::read_dir("/dev").unwrap().count();
    let count = entries();
    let fixture = fixture("/bin/busybox ls /dev; /bin/busybox ls -a $0; touch /etc/kogge-test-write", true);
    let mut fixture = fixture;
    let hidden = fixture.root().to_str().unwrap().to_owned();
    fixture.spec["process"]["args"].as_array_mut().unwrap().push(hidden.into());
    let ended = fixture.run();
    assert_ne!(ended.exit, Exit::Code { code: 0 }, "the host's files are read-only: {}", fixture.log());
    assert!(!std::path::Path::new("/etc/kogge-test-write").exists());
    let log = fixture.log();
    assert!(log.contains("ptmx") && !log.contains("vda"), "{log}");
    assert!(!log.contains("layer"), "hidden directories look empty: {log}");
    assert_eq!(["/dev/ptmx", "/dev/null", "/dev/tty"].map(device), before);
    assert_eq!(entries(), count, "nothing was added to /dev");
}

#[test]
fn a_writable_plain_command_writes_to_the_host() {
    let fixture = fixture("echo written > $0", false);
    let mut fixture = fixture;
    let target = tempfile::NamedTempFile::new().unwrap();
    fixture.spec["process"]["args"].as_array_mut().unwrap().push(target.path().to_str().unwrap().into());
    assert_eq!(fixture.run().exit, Exit::Code { code: 0 }, "{}", fixture.log());
    assert_eq!(fs::read_to_string(target.path()).unwrap(), "written\n");
}

#[test]
fn a_plain_command_without_a_fresh_dev_is_refused() {
    let mut fixture = fixture("true", true);
    let mounts = fixture.spec["mounts"].as_array_mut().unwrap();
    mounts.retain(|mount| mount["destination"] != "/dev");
    let SpawnError::Refused(text) = fixture.try_start().unwrap_err() else { panic!("not refused") };
    assert!(text.contains("no fresh tmpfs on /dev"), "{text}");
}
