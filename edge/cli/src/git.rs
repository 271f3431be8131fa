//! The git checkout we stand in, and its remote `kogge`.

use std::path::Path;
use std::process::{Command, Stdio};

/// The remote that `kogge create` makes and other commands find the app by.
pub(crate) const REMOTE: &str = "kogge";

/// What `kogge create` did with the checkout.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RemoteAdded {
    /// There is no checkout, or no git.
    NoCheckout,
    /// It is there now.
    Added,
    /// It was there with this very URL.
    AlreadyThere,
    /// There is one that leads elsewhere; it was left alone.
    Elsewhere(String),
    /// Git refused.
    Failed(String),
}

/// Adds the remote to the checkout at `dir`, if there is one.
pub(crate) fn add_remote(dir: &Path, url: &str) -> RemoteAdded {
    if output(dir, &["rev-parse", "--is-inside-work-tree"]).as_deref() != Ok("true") {
        return RemoteAdded::NoCheckout;
    }
    match remote_url(dir) {
        Some(old) if old == url => RemoteAdded::AlreadyThere,
        Some(old) => RemoteAdded::Elsewhere(old),
        None => match output(dir, &["remote", "add", REMOTE, url]) {
            Ok(_) => RemoteAdded::Added,
            Err(text) => RemoteAdded::Failed(text),
        },
    }
}

/// The app that the checkout at `dir` pushes to.
pub(crate) fn app(dir: &Path) -> Option<String> {
    app_of(&remote_url(dir)?)
}

/// Where the remote leads.
pub(crate) fn remote(dir: &Path) -> Option<String> {
    remote_url(dir)
}

/// Makes git, in the checkout at `dir` only, believe servers of the authority `pem` at the base of `url`, and ask
/// `program` for the password there. Tells the base.
pub(crate) fn trust(
    dir: &Path,
    url: &str,
    pem: &str,
    program: &Path,
    token_file: Option<&Path>,
) -> Result<String, String> {
    let base = base_of(url).ok_or_else(|| "its URL has no host".to_owned())?;
    let git_dir = output(dir, &["rev-parse", "--absolute-git-dir"])?;
    let file = Path::new(&git_dir).join("kogge-ca.pem");
    std::fs::write(&file, pem).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    let mut helper = format!("!{}", quoted(program));
    if let Some(token_file) = token_file {
        let token_file = std::path::absolute(token_file).map_err(|error| error.to_string())?;
        helper.push_str(&format!(" --token-file {}", quoted(&token_file)));
    }
    helper.push_str(" git-credential");
    let (ca, helpers) = (format!("http.{base}.sslCAInfo"), format!("credential.{base}.helper"));
    output(dir, &["config", "--local", &ca, &file.display().to_string()])?;
    // An empty one first: no other helper is to keep the token.
    output(dir, &["config", "--local", "--replace-all", &helpers, ""])?;
    output(dir, &["config", "--local", "--add", &helpers, &helper])?;
    Ok(base)
}

/// For a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

/// Scheme, host and port of a URL.
fn base_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split('/').next().filter(|host| !host.is_empty())?;
    Some(format!("{scheme}://{host}"))
}

fn remote_url(dir: &Path) -> Option<String> {
    output(dir, &["remote", "get-url", REMOTE]).ok()
}

/// `http://HOST/git/shop.git` is `shop`, `http://HOST/git/stage/shop.git` is `/stage/shop`.
fn app_of(url: &str) -> Option<String> {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?.1,
        None => url.rsplit_once(':').map_or(url, |(_, path)| path),
    };
    let path = path.trim_matches('/');
    let path = path.rsplit_once("git/").map_or(path, |(_, path)| path);
    let app = path.strip_suffix(".git").unwrap_or(path);
    match app.matches('/').count() {
        0 if !app.is_empty() => Some(app.to_owned()),
        1 => Some(format!("/{app}")),
        _ => None,
    }
}

fn output(dir: &Path, args: &[&str]) -> Result<String, String> {
    let run = Command::new("git").args(args).current_dir(dir).stdin(Stdio::null()).output();
    let output = run.map_err(|error| format!("cannot run git: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_app_is_told_by_the_remote() {
        for (url, app) in [
            ("http://127.0.0.1:7400/git/shop.git", Some("shop")),
            ("https://10.0.0.1:7400/git/shop.git", Some("shop")),
            ("http://127.0.0.1:7400/git/stage/shop.git", Some("/stage/shop")),
            ("ssh://git@host:2222/shop.git", Some("shop")),
            ("git@host:shop.git", Some("shop")),
            ("http://host", None),
            ("http://host/a/b/c", None),
        ] {
            assert_eq!(app_of(url).as_deref(), app, "{url}");
        }
    }

    #[test]
    fn a_remote_is_added_once_and_never_bent() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = ("http://h/git/one.git", "http://h/git/two.git");
        assert_eq!(add_remote(dir.path(), one), RemoteAdded::NoCheckout);
        output(dir.path(), &["init", "-q"]).unwrap();
        assert_eq!(add_remote(dir.path(), one), RemoteAdded::Added);
        assert_eq!(add_remote(dir.path(), one), RemoteAdded::AlreadyThere);
        assert_eq!(add_remote(dir.path(), two), RemoteAdded::Elsewhere(one.to_owned()));
        assert_eq!(app(dir.path()).as_deref(), Some("one"));
    }

    #[test]
    fn a_checkout_trusts_one_base_and_asks_us_for_the_token() {
        let dir = tempfile::tempdir().unwrap();
        output(dir.path(), &["init", "-q"]).unwrap();
        let url = "https://s1.lan:7400/git/one.git";
        for _ in 0..2 {
            let told = trust(dir.path(), url, "PEM\n", Path::new("/opt/it's/kogge"), Some(Path::new("/t")));
            assert_eq!(told.as_deref(), Ok("https://s1.lan:7400"));
        }
        let get = |words: &[&str]| output(dir.path(), &[&["config"], words].concat()).unwrap();
        let file = get(&["--get-urlmatch", "http.sslCAInfo", url]);
        assert_eq!(std::fs::read_to_string(file).unwrap(), "PEM\n");
        let helpers = get(&["--get-all", "credential.https://s1.lan:7400.helper"]);
        assert_eq!(helpers, "!'/opt/it'\\''s/kogge' --token-file '/t' git-credential", "after an empty one");
        assert!(
            output(dir.path(), &["config", "--get-urlmatch", "http.sslCAInfo", "https://other/"]).is_err()
        );
    }
}
