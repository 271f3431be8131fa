//! The runtime spec of typical containers, as a golden file, and what must never get into one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use kogge_containers::bundle::{
    BundleError, ContainerSpec, ExtraMount, NOBODY, NetworkPlace, RootFiles, TaskLimits,
};
use kogge_containers::image::ResolvedUser;

fn spec() -> ContainerSpec {
    ContainerSpec {
        argv: vec!["/bin/serve".to_owned(), "--port".to_owned(), "80".to_owned()],
        env: vec!["A=1".to_owned(), "B=2".to_owned(), "A=3".to_owned()],
        cwd: Some(PathBuf::from("/srv")),
        user: ResolvedUser { uid: 0, gid: 0, additional_gids: vec![10], home: Some("/root".to_owned()) },
        hostname: "web-1".to_owned(),
        root: RootFiles::Image { rootfs: PathBuf::from("/data/tasks/web.1/merged"), is_read_only: true },
        limits: TaskLimits {
            cpu_millis: 500,
            mem_bytes: 64 << 20,
            swap_bytes: 0,
            pids: 64,
            open_files: 1024,
        },
        network: NetworkPlace::Namespace(PathBuf::from("/run/kogge/netns/web.1")),
        cgroup: PathBuf::from("/kogge-1a2b/web.1"),
        mounts: vec![ExtraMount::Bind {
            source: PathBuf::from("/data/tasks/web.1/hosts"),
            target: PathBuf::from("/etc/hosts"),
            is_read_only: true,
        }],
    }
}

fn on_host() -> ContainerSpec {
    ContainerSpec {
        cwd: None,
        user: ResolvedUser { uid: NOBODY, gid: NOBODY, ..ResolvedUser::default() },
        root: RootFiles::Host {
            rootfs: PathBuf::from("/data/tasks/cmd.1/root"),
            work_dir: PathBuf::from("/data/tasks/cmd.1/work"),
            hidden: vec![PathBuf::from("/data"), PathBuf::from("/run/kogge")],
        },
        network: NetworkPlace::Host,
        mounts: Vec::new(),
        ..spec()
    }
}

/// Compares with `tests/golden/<name>.json`; `UPDATE_GOLDEN=1` writes it anew.
fn check(name: &str, spec: &ContainerSpec) {
    let mut value = serde_json::to_value(spec.to_oci().unwrap()).unwrap();
    // Sets have no order.
    for set in ["bounding", "effective", "permitted"] {
        let list = value["process"]["capabilities"][set].as_array_mut().unwrap();
        list.sort_by_key(ToString::to_string);
    }
    let actual = serde_json::to_string_pretty(&value).unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.json"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(actual, expected, "{name} has changed; if that is meant, run with UPDATE_GOLDEN=1");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn an_image_with_a_network_of_its_own() {
    check("image", &spec());
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_command_on_the_hosts_files() {
    check("host", &on_host());
}

#[test]
fn root_on_the_hosts_files_is_refused() {
    let mut spec = on_host();
    spec.user.uid = 0;
    assert!(matches!(spec.to_oci(), Err(BundleError::RootOnHost)));
}

#[test]
fn the_containers_own_devices_cannot_be_covered() {
    for target in ["/", "/dev", "/dev/null", "/proc/self", "/sys/fs/cgroup", "/etc/../dev", "relative"] {
        let mut spec = spec();
        spec.mounts =
            vec![ExtraMount::Tmpfs { target: PathBuf::from(target), size_bytes: 1 << 20, mode: 0o755 }];
        assert!(spec.to_oci().is_err(), "{target}");
    }
    // A missing mount point would be made on the machine's own disk.
    let mut spec = on_host();
    spec.mounts =
        vec![ExtraMount::Tmpfs { target: PathBuf::from("/opt/x"), size_bytes: 1 << 20, mode: 0o755 }];
    assert!(matches!(spec.to_oci(), Err(BundleError::ReservedMount { .. })));
}

#[test]
fn impossible_wishes_are_told_by_field() {
    type Break = fn(&mut ContainerSpec);
    let broken: [(&str, Break); 8] = [
        ("command is empty", |spec| spec.argv.clear()),
        ("the command has", |spec| spec.argv.push("a\0b".to_owned())),
        ("host name", |spec| spec.hostname = "a b".to_owned()),
        ("limit cpu", |spec| spec.limits.cpu_millis = 1),
        ("limit memory", |spec| spec.limits.mem_bytes = 1000),
        ("limit pids", |spec| spec.limits.pids = 0),
        ("cgroup", |spec| spec.cgroup = PathBuf::from("/kogge/../x")),
        ("working directory", |spec| spec.cwd = Some(PathBuf::from("srv"))),
    ];
    for (part, break_it) in broken {
        let mut spec = spec();
        break_it(&mut spec);
        let error = spec.to_oci().unwrap_err().to_string();
        assert!(error.contains(part), "{error:?} should say {part:?}");
    }
}

#[test]
fn users_other_than_root_have_no_capability() {
    let mut spec = spec();
    spec.user.uid = 1000;
    let oci = spec.to_oci().unwrap();
    let capabilities = oci.process().as_ref().unwrap().capabilities().clone().unwrap();
    assert!(capabilities.bounding().as_ref().unwrap().is_empty());
    assert!(capabilities.effective().as_ref().unwrap().is_empty());
}
