//! Where the operator's token is. Never among the arguments: everybody on a machine sees those.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use kogge_model::token::OperatorToken;

use crate::failure::Failure;

/// Holds the token itself.
const VARIABLE: &str = "KOGGE_TOKEN";

/// The token: from the file that was named, else from the environment, else from the operator's own file.
///
/// # Errors
/// When what is there is no token, or others can read it.
pub(crate) fn find(named: Option<&Path>) -> Result<Option<OperatorToken>, Failure> {
    if let Some(file) = named {
        return read(file).map(Some);
    }
    if let Some(text) = std::env::var(VARIABLE).ok().filter(|text| !text.trim().is_empty()) {
        return parse(&text, VARIABLE).map(Some);
    }
    match own_file().filter(|file| file.exists()) {
        Some(file) => read(&file).map(Some),
        None => Ok(None),
    }
}

/// XDG base directories: `~/.config/kogge/token`.
fn own_file() -> Option<PathBuf> {
    let directory = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = directory("XDG_CONFIG_HOME").or_else(|| Some(directory("HOME")?.join(".config")))?;
    Some(config.join("kogge").join("token"))
}

fn read(file: &Path) -> Result<OperatorToken, Failure> {
    let shown = file.display().to_string();
    let cannot = |error: io::Error| Failure::new(format!("cannot read the token in {shown}: {error}"));
    let mode = std::fs::metadata(file).map_err(cannot)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Failure::new(format!("the token in {shown} can be read by others")).with_hint(format!(
            "chmod 600 {shown}; if others may have read it, revoke it: `kogge token revoke NAME`"
        )));
    }
    parse(&std::fs::read_to_string(file).map_err(cannot)?, &shown)
}

fn parse(text: &str, place: &str) -> Result<OperatorToken, Failure> {
    text.parse().map_err(|error| {
        Failure::new(format!("what stands in {place} cannot be used: {error}"))
            .with_hint("copy the whole line that `kogge token create` printed")
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt as _;

    use super::*;

    fn check(text: &str, mode: u32) -> Result<OperatorToken, Failure> {
        use std::io::Write as _;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        let mut out = std::fs::File::options().write(true).create_new(true).mode(mode).open(&file).unwrap();
        out.write_all(text.as_bytes()).unwrap();
        find(Some(&file)).map(|found| found.expect("a token"))
    }

    #[test]
    fn a_file_is_believed_if_only_its_owner_reads_it() {
        let line = format!("koggeop1.{}.{}.{}\n", "ab".repeat(6), "cd".repeat(16), "ef".repeat(32));
        assert_eq!(check(&line, 0o600).unwrap().id(), "abababababab");
        let open = check(&line, 0o644).unwrap_err();
        assert!(open.text().ends_with("can be read by others"), "{open}");
        let bad = check("koggeop1.abc", 0o600).unwrap_err();
        assert!(bad.text().contains("is not a token of an operator") && bad.hint().is_some(), "{bad}");
        assert!(find(Some(Path::new("/nonexistent"))).unwrap_err().text().contains("cannot read the token"));
    }
}
