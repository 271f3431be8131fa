//! Which cgroup file systems this machine has, and where a cgroup lies in them.

use std::io;
use std::path::{Path, PathBuf};

/// Where one cgroup lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layout {
    /// v1, or v1 with a v2 tree beside it that has no controllers for us.
    Hierarchies(Vec<Hierarchy>),
    /// Pure v2.
    Unified(PathBuf),
}

/// One v1 hierarchy, or the v2 tree of a hybrid machine (no controllers).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchy {
    controllers: Vec<String>,
    dir: PathBuf,
}

impl Layout {
    pub(super) fn detect(cgroup: &Path) -> io::Result<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        Self::from_mountinfo(&mounts, cgroup)
            .ok_or_else(|| io::Error::other("no cgroup file system is mounted"))
    }

    /// From the text of `/proc/self/mountinfo` (proc(5)).
    fn from_mountinfo(text: &str, cgroup: &Path) -> Option<Self> {
        let relative = cgroup.strip_prefix("/").unwrap_or(cgroup);
        let mut hierarchies: Vec<Hierarchy> = Vec::new();
        let mut unified = None;
        for line in text.lines() {
            let Some((mount_point, kind, options)) = parse_mount(line) else { continue };
            let dir = Path::new(mount_point).join(relative);
            match kind {
                "cgroup2" => unified = unified.or(Some(dir)),
                "cgroup" if !hierarchies.iter().any(|known| known.dir == dir) => {
                    let controllers = options.split(',').map(str::to_owned).collect();
                    hierarchies.push(Hierarchy { controllers, dir });
                }
                _ => {}
            }
        }
        let has_v1_memory = hierarchies.iter().any(|hierarchy| hierarchy.has("memory"));
        match unified {
            Some(dir) if !has_v1_memory => Some(Self::Unified(dir)),
            beside => {
                let beside = beside.map(|dir| Hierarchy { controllers: Vec::new(), dir });
                hierarchies.extend(beside);
                (!hierarchies.is_empty()).then_some(Self::Hierarchies(hierarchies))
            }
        }
    }

    pub(super) fn directories(&self) -> Vec<PathBuf> {
        match self {
            Self::Hierarchies(all) => all.iter().map(|hierarchy| hierarchy.dir.clone()).collect(),
            Self::Unified(dir) => vec![dir.clone()],
        }
    }

    /// The directory that holds the files of `controller`.
    pub(super) fn of(&self, controller: &str) -> io::Result<&Path> {
        match self {
            Self::Unified(dir) => Ok(dir),
            Self::Hierarchies(all) => all
                .iter()
                .find(|hierarchy| hierarchy.has(controller))
                .map(|hierarchy| hierarchy.dir.as_path())
                .ok_or_else(|| io::Error::other(format!("cgroup controller {controller} is not mounted"))),
        }
    }

    pub(super) const fn is_unified(&self) -> bool {
        matches!(self, Self::Unified(_))
    }
}

impl Hierarchy {
    fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|own| own == controller)
    }
}

/// Mount point, file system type and super options of one line.
fn parse_mount(line: &str) -> Option<(&str, &str, &str)> {
    let (left, right) = line.split_once(" - ")?;
    let mount_point = left.split(' ').nth(4)?;
    let mut right = right.split(' ');
    let kind = right.next()?;
    let options = right.nth(1)?;
    Some((mount_point, kind, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const HYBRID: &str = "31 24 0:27 / /sys/fs/cgroup ro - tmpfs tmpfs rw\n\
        32 31 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        33 31 0:29 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n\
        34 31 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn pure_v2_has_one_directory_for_everything() {
        let layout = Layout::from_mountinfo(V2, Path::new("/kogge/a")).unwrap();
        assert_eq!(layout, Layout::Unified("/sys/fs/cgroup/kogge/a".into()));
        assert_eq!(layout.of("memory").unwrap(), Path::new("/sys/fs/cgroup/kogge/a"));
    }

    #[test]
    fn a_hybrid_machine_counts_as_v1_and_its_v2_tree_is_cleaned_too() {
        let layout = Layout::from_mountinfo(HYBRID, Path::new("/kogge/a")).unwrap();
        assert!(!layout.is_unified());
        assert_eq!(layout.of("cpuacct").unwrap(), Path::new("/sys/fs/cgroup/cpu,cpuacct/kogge/a"));
        assert!(layout.of("pids").is_err());
        assert!(layout.directories().contains(&PathBuf::from("/sys/fs/cgroup/unified/kogge/a")));
    }
}
