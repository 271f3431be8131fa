//! Who a container runs as: names looked up in the image, never on the host.

use std::path::PathBuf;

use rustix::fs::OFlags;

use super::error::ImageError;
use super::rooted::{self, RootDir, c_name};

/// Files larger than this are no honest user databases.
const MAX_DATABASE_BYTES: u64 = 1 << 20;

/// The ids a process runs with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResolvedUser {
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Groups that list the user, when the spec named no group.
    pub additional_gids: Vec<u32>,
    /// The home directory, if the image knows the user.
    pub home: Option<String>,
}

impl ResolvedUser {
    /// Looks `spec` (`user`, `uid`, `user:group` or `uid:gid`; empty means root) up in `/etc/passwd` and
    /// `/etc/group` of the layers in `lower`, topmost first, as overlayfs would show them.
    ///
    /// # Errors
    /// When a name is not there, or the files cannot be read.
    pub fn resolve(spec: &str, lower: &[PathBuf]) -> Result<Self, ImageError> {
        let passwd = database(lower, "passwd")?;
        let group = database(lower, "group")?;
        Self::from_databases(spec, &passwd, &group)
    }

    fn from_databases(spec: &str, passwd: &str, group: &str) -> Result<Self, ImageError> {
        let (user, group_name) = match spec.split_once(':') {
            Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
            None => (spec, None),
        };
        let user = if user.is_empty() { "0" } else { user };
        let known =
            passwd.lines().filter_map(Account::parse).find(|account| account.name == user).or_else(|| {
                let uid: u32 = user.parse().ok()?;
                passwd.lines().filter_map(Account::parse).find(|account| account.uid == uid)
            });
        let uid = match (&known, user.parse()) {
            (Some(account), _) => account.uid,
            (None, Ok(uid)) => uid,
            (None, Err(_)) => return Err(ImageError::UnknownUser { kind: "user", name: user.to_owned() }),
        };
        let home = known.as_ref().map(|account| account.home.to_owned()).filter(|home| home.starts_with('/'));
        if let Some(name) = group_name {
            let named = group.lines().filter_map(Group::parse).find(|group| group.name == name);
            let gid = named.map(|group| group.gid).or_else(|| name.parse().ok());
            let gid = gid.ok_or_else(|| ImageError::UnknownUser { kind: "group", name: name.to_owned() })?;
            return Ok(Self { uid, gid, additional_gids: Vec::new(), home });
        }
        let gid = known.as_ref().map_or(0, |account| account.gid);
        let lists_user = |group: &Group<'_>| {
            known
                .as_ref()
                .is_some_and(|account| group.members.split(',').any(|member| member == account.name))
        };
        let mut additional_gids: Vec<u32> =
            group.lines().filter_map(Group::parse).filter(lists_user).map(|group| group.gid).collect();
        additional_gids.sort_unstable();
        additional_gids.dedup();
        additional_gids.retain(|&other| other != gid);
        Ok(Self { uid, gid, additional_gids, home })
    }
}

/// `name:password:uid:gid:comment:home:shell` (`man 5 passwd`).
struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl<'a> Account<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let home = fields.nth(1).unwrap_or_default();
        Some(Self { name, uid, gid, home }).filter(|account| !account.name.is_empty())
    }
}

/// `name:password:gid:members` (`man 5 group`).
struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

impl<'a> Group<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        let gid = fields.next()?.parse().ok()?;
        Some(Self { name, gid, members: fields.next().unwrap_or_default() })
            .filter(|group| !group.name.is_empty())
    }
}

/// `/etc/<name>` of the topmost layer that has it; empty when it was removed or never there.
fn database(lower: &[PathBuf], name: &str) -> Result<String, ImageError> {
    for layer in lower {
        let root = RootDir::open(layer).map_err(ImageError::io("open", layer))?;
        let path = format!("etc/{name}");
        let read = root.read_file(path.as_bytes(), MAX_DATABASE_BYTES);
        if let Some(bytes) = read.map_err(ImageError::io("read", &layer.join(&path)))? {
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        }
        if hides_lower(&root, name) {
            break;
        }
    }
    Ok(String::new())
}

/// Whether this layer removes `etc`, `etc/<name>`, or hides all of the `etc` below.
fn hides_lower(root: &RootDir, name: &str) -> bool {
    let is_whiteout = |dir: &std::os::fd::OwnedFd, name: &str| {
        let name = c_name(name.as_bytes()).ok();
        name.is_some_and(
            |name| matches!(rooted::stat_at(dir, &name), Ok(Some(stat)) if rooted::is_whiteout(&stat)),
        )
    };
    let Ok(top) = root.open_dir(b"") else { return false };
    if is_whiteout(&top, "etc") {
        return true;
    }
    match root.open_at(b"etc", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW) {
        Ok(etc) => rooted::is_opaque(&etc) || is_whiteout(&etc, name),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/srv/web:\nbad line\n1000:x:7:7::/:\n";
    const GROUP: &str = "root:x:0:\nwww:x:34:web\nlogs:x:50:web,other\nother:x:51:someone\n";

    fn check(spec: &str, uid: u32, gid: u32, additional: &[u32]) {
        let user = ResolvedUser::from_databases(spec, PASSWD, GROUP).unwrap();
        assert_eq!((user.uid, user.gid, user.additional_gids.as_slice()), (uid, gid, additional), "{spec}");
    }

    #[test]
    fn names_and_numbers_are_looked_up_in_the_image() {
        check("", 0, 0, &[]);
        check("web", 33, 34, &[50]);
        check("33", 33, 34, &[50]);
        check("web:other", 33, 51, &[]);
        check("web:99", 33, 99, &[]);
        check("4711", 4711, 0, &[]);
        check("4711:4712", 4711, 4712, &[]);
        check("1000", 7, 7, &[]);
        assert_eq!(
            ResolvedUser::from_databases("web", PASSWD, GROUP).unwrap().home.as_deref(),
            Some("/srv/web")
        );
    }

    #[test]
    fn unknown_names_are_told() {
        for (spec, kind) in
            [("nobody-here", "user"), ("web:nothing", "group"), ("-1", "user"), ("web:-1", "group")]
        {
            let error = ResolvedUser::from_databases(spec, PASSWD, GROUP).unwrap_err();
            assert!(matches!(error, ImageError::UnknownUser { kind: k, .. } if k == kind), "{spec}: {error}");
        }
    }

    #[test]
    fn a_link_out_of_the_image_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("etc/passwd")).unwrap();
        let lower = [dir.path().to_path_buf()];
        assert!(
            ResolvedUser::resolve("daemon", &lower).is_err(),
            "the host knows this user, the image does not"
        );
        assert_eq!(ResolvedUser::resolve("5", &lower).unwrap().uid, 5);
    }

    #[test]
    fn the_topmost_layer_wins_and_a_removed_file_stays_removed() {
        let (top, bottom) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for dir in [&top, &bottom] {
            std::fs::create_dir(dir.path().join("etc")).unwrap();
        }
        std::fs::write(bottom.path().join("etc/passwd"), "low:x:1:1::/:\n").unwrap();
        let lower = [top.path().to_path_buf(), bottom.path().to_path_buf()];
        assert_eq!(ResolvedUser::resolve("low", &lower).unwrap().uid, 1);
        let etc = RootDir::open(&top.path().join("etc")).unwrap();
        rooted::make_whiteout(&etc, &c_name(b"passwd").unwrap()).unwrap();
        assert!(ResolvedUser::resolve("low", &lower).is_err());
        std::fs::remove_file(top.path().join("etc/passwd")).unwrap();
        std::fs::write(top.path().join("etc/passwd"), "high:x:2:2::/:\n").unwrap();
        assert_eq!(ResolvedUser::resolve("high", &lower).unwrap().uid, 2);
    }
}
