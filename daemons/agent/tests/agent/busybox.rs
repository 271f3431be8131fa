//! An image made in the test: busybox and nothing else.

use std::io::Cursor;

use kogge_containers::image::{ImageStore, LoadRequest, Reference};
use kogge_model::digest::Digest;
use kogge_model::image::ImageRef;
use tar::{EntryType, Header};

const NAME: &str = "busybox:test";

const TOOLS: [&str; 12] =
    ["sh", "sleep", "echo", "cat", "tail", "true", "httpd", "nc", "kill", "id", "mkdir", "rm"];

/// Loads the image into `store`.
pub(crate) async fn load(store: &ImageStore) -> ImageRef {
    let request = LoadRequest { name: Some(NAME.parse::<Reference>().unwrap()), ..LoadRequest::default() };
    let records = store.load_archive(Cursor::new(archive()), request).await.unwrap();
    ImageRef { name: NAME.to_owned(), digest: records[0].manifest }
}

/// As `docker save` writes it.
fn archive() -> Vec<u8> {
    let layer = layer();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = format!(
        r#"{{"architecture":"{architecture}","os":"linux","config":{{"Cmd":["/bin/echo","default"],"Env":["FROM=image"],"StopSignal":"SIGTERM"}},"rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        Digest::of(&layer)
    );
    let config_name = format!("{}.json", Digest::of(config.as_bytes()).hex());
    let manifest =
        format!(r#"[{{"Config":"{config_name}","RepoTags":["{NAME}"],"Layers":["l/layer.tar"]}}]"#);
    let mut tar = tar::Builder::new(Vec::new());
    add(&mut tar, EntryType::Regular, "l/layer.tar", 0o644, &layer);
    add(&mut tar, EntryType::Regular, &config_name, 0o644, config.as_bytes());
    add(&mut tar, EntryType::Regular, "manifest.json", 0o644, manifest.as_bytes());
    tar.into_inner().unwrap()
}

fn layer() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for dir in ["bin", "etc", "tmp", "proc", "sys", "dev", "www"] {
        add(&mut tar, EntryType::Directory, dir, if dir == "tmp" { 0o1777 } else { 0o755 }, b"");
    }
    let busybox = std::fs::read("/bin/busybox").expect("the package busybox-static is installed");
    add(&mut tar, EntryType::Regular, "bin/busybox", 0o755, &busybox);
    for tool in TOOLS {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Link);
        header.set_mode(0o755);
        header.set_size(0);
        tar.append_link(&mut header, format!("bin/{tool}"), "bin/busybox").unwrap();
    }
    add(
        &mut tar,
        EntryType::Regular,
        "etc/passwd",
        0o644,
        b"root:x:0:0::/:/bin/sh\nweb:x:33:34::/www:/bin/sh\n",
    );
    add(&mut tar, EntryType::Regular, "etc/group", 0o644, b"root:x:0:\nweb:x:34:\n");
    add(&mut tar, EntryType::Regular, "www/up", 0o644, b"up\n");
    tar.into_inner().unwrap()
}

fn add(tar: &mut tar::Builder<Vec<u8>>, kind: EntryType, path: &str, mode: u32, data: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(data.len() as u64);
    tar.append_data(&mut header, path, data).unwrap();
}
