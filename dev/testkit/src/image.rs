//! Small images made on the spot, as `docker save` would write them.

use std::fs::File;
use std::path::Path;

use kogge_model::digest::Digest;
use serde_json::json;
use tar::{Builder, EntryType, Header};

use crate::campaign::Dice;

/// Names under which busybox is called in the image.
const APPLETS: &[&str] = &[
    "sh",
    "ls",
    "cat",
    "echo",
    "sleep",
    "id",
    "env",
    "ps",
    "kill",
    "nc",
    "httpd",
    "dd",
    "yes",
    "true",
    "false",
    "mkdir",
    "touch",
    "rm",
    "wget",
    "head",
    "tail",
    "seq",
    "date",
    "hostname",
    "ip",
    "mount",
    "mknod",
    "grep",
    "adduser",
    "test",
    "printf",
    "trap",
    "awk",
    "sed",
    "wc",
    "sha256sum",
    "stat",
    "readlink",
    "chmod",
];

/// Writes an archive with an image that holds the machine's static busybox.
///
/// # Panics
/// When busybox is not there, or the archive cannot be written.
pub fn busybox(archive: &Path) {
    write(archive, &[layer()]);
}

/// The same with so many bytes more, in a layer of their own, which cannot be packed smaller.
///
/// # Panics
/// As [`busybox`].
pub fn heavy_busybox(archive: &Path, bytes: usize) {
    write(archive, &[layer(), ballast(bytes)]);
}

fn write(archive: &Path, layers: &[Vec<u8>]) {
    let diff_ids: Vec<String> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    let names: Vec<String> = (1..=layers.len()).map(|number| format!("layer-{number}.tar")).collect();
    let history: Vec<_> = names.iter().map(|name| json!({"created_by": name})).collect();
    let config = serde_json::to_vec(&json!({
        "architecture": "amd64", "os": "linux",
        "config": {"Env": ["PATH=/bin:/usr/bin"], "Cmd": ["sh"], "WorkingDir": "/"},
        "history": history,
        "rootfs": {"type": "layers", "diff_ids": diff_ids}
    }))
    .expect("plain data");
    let manifest = json!([{"Config": "config.json", "RepoTags": ["busybox:latest"], "Layers": names}]);
    let manifest = serde_json::to_vec(&manifest).expect("plain data");
    let mut out = Builder::new(File::create(archive).expect("an archive file"));
    let documents = [("config.json", &config), ("manifest.json", &manifest)];
    for (name, bytes) in names.iter().map(String::as_str).zip(layers).chain(documents) {
        let mut header = header(EntryType::Regular, 0o644);
        header.set_size(bytes.len() as u64);
        out.append_data(&mut header, name, bytes.as_slice()).expect("room for the archive");
    }
    out.finish().expect("room for the archive");
}

fn layer() -> Vec<u8> {
    let mut out = Builder::new(Vec::new());
    for directory in ["bin", "etc", "tmp", "www", "usr", "usr/bin"] {
        let mut header = header(EntryType::Directory, if directory == "tmp" { 0o1777 } else { 0o755 });
        out.append_data(&mut header, directory, std::io::empty()).expect("a tar in memory");
    }
    let program = std::fs::read("/bin/busybox").expect("Debian's busybox-static is installed");
    let passwd = b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n".to_vec();
    let group = b"root:x:0:\nnogroup:x:65534:\n".to_vec();
    for (name, bytes, mode) in
        [("bin/busybox", program, 0o755), ("etc/passwd", passwd, 0o644), ("etc/group", group, 0o644)]
    {
        let mut header = header(EntryType::Regular, mode);
        header.set_size(bytes.len() as u64);
        out.append_data(&mut header, name, bytes.as_slice()).expect("a tar in memory");
    }
    for applet in APPLETS {
        let mut header = header(EntryType::Symlink, 0o777);
        out.append_link(&mut header, format!("bin/{applet}"), "busybox").expect("a tar in memory");
    }
    out.into_inner().expect("a tar in memory")
}

fn ballast(bytes: usize) -> Vec<u8> {
    let mut dice = Dice::new(0);
    let noise: Vec<u8> = (0..bytes).map(|_| u8::try_from(dice.below(256)).expect("a byte")).collect();
    let mut out = Builder::new(Vec::new());
    let mut header = header(EntryType::Regular, 0o644);
    header.set_size(bytes as u64);
    out.append_data(&mut header, "ballast", noise.as_slice()).expect("a tar in memory");
    out.into_inner().expect("a tar in memory")
}

fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    header
}
