//! What a cloud may leave on a machine and must not: processes, mounts, namespaces, links, cgroups, tables.

use std::path::{Path, PathBuf};
use std::process::Command;

use kogge_model::digest::Digest;

use crate::cluster::program::to_end;

/// The tag by which a cloud's things on the machine are known.
#[must_use]
pub fn tag(data: &Path) -> String {
    let path = data.canonicalize().unwrap_or_else(|_| data.to_owned());
    Digest::of(path.as_os_str().as_encoded_bytes()).hex()[..8].to_owned()
}

/// Everything that is left of the cloud with that data directory, a sentence each.
#[must_use]
pub fn of(data: &Path) -> Vec<String> {
    let tag = tag(data);
    let mut left = Vec::new();
    left.extend(processes(data).into_iter().map(|line| format!("process {line}")));
    left.extend(lines_with("/proc/self/mountinfo", &[&tag, &data.to_string_lossy()], "mount"));
    left.extend(command_lines("ip", &["-o", "link"], &tag, "link"));
    left.extend(command_lines("nft", &["list", "tables"], &tag, "nft table"));
    left.extend(cgroups(&tag).into_iter().map(|path| format!("cgroup {}", path.display())));
    left
}

/// Removes what a cloud that keeps its tasks leaves until the next start of the machine, if nothing uses it.
pub fn clear(data: &Path) {
    if of(data).is_empty() {
        let _ = std::fs::remove_dir_all(runtime(data));
    }
}

fn runtime(data: &Path) -> PathBuf {
    Path::new("/run/kogge").join(tag(data))
}

fn processes(data: &Path) -> Vec<String> {
    let needle = data.to_string_lossy().into_owned();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let lines = pids.filter_map(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        (pid != std::process::id() && line.contains(&needle)).then(|| format!("{pid}: {line}"))
    });
    lines.collect()
}

fn lines_with(file: &str, needles: &[&str], what: &str) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let matching = text.lines().filter(|line| needles.iter().any(|needle| line.contains(needle)));
    matching.map(|line| format!("{what} {line}")).collect()
}

fn command_lines(program: &str, words: &[&str], needle: &str, what: &str) -> Vec<String> {
    let Ok(output) = to_end(Command::new(program).args(words)) else { return Vec::new() };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter(|line| line.contains(needle)).map(|line| format!("{what} {line}")).collect()
}

/// The outermost cgroups whose names hold the tag.
pub(crate) fn cgroups(tag: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(directory) = open.pop() {
        for path in folders(&directory) {
            if path.file_name().is_some_and(|name| name.to_string_lossy().contains(tag)) {
                found.push(path);
            } else {
                open.push(path);
            }
        }
    }
    found
}

/// What lies directly in a directory and is one itself.
pub(crate) fn folders(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.filter(|path| path.is_dir() && !path.is_symlink()).collect()
}
