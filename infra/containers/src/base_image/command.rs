//! The command line of `mmdebstrap` (`man 1 mmdebstrap`). Nothing here runs anything.

use super::error::BaseImageError;
use crate::image::{ImageConfig, Reference};

/// Which base image to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImageSpec {
    /// What it will be called.
    pub name: Reference,
    /// Debian's release.
    pub suite: String,
    /// Packages besides the essential ones.
    pub packages: Vec<String>,
    /// Where packages come from; without, where this machine itself has them from.
    pub mirror: Option<String>,
}

impl Default for BaseImageSpec {
    /// `kogge/base:12` from bookworm.
    fn default() -> Self {
        Self {
            name: "kogge/base:12".parse().expect("a valid name"),
            suite: "bookworm".to_owned(),
            packages: Vec::new(),
            mirror: None,
        }
    }
}

/// Documents and translations stay out, as in Debian's own slim images; licences stay in.
const LEFT_OUT: [&str; 5] = [
    "path-exclude=/usr/share/doc/*",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-include=/usr/share/doc/*/copyright",
];

/// Package lists and downloads are cleared by mmdebstrap itself; these are what else would differ between two
/// builds or belongs to the machine. `"$1"` is the root of the new system; its `/tmp` holds mmdebstrap's own
/// configuration at that time.
const CLEAN: &str = "rm -rf \"$1\"/var/cache/debconf/*-old \"$1\"/var/cache/ldconfig/aux-cache \
    \"$1\"/var/lib/dpkg/*-old \"$1\"/var/log/*.log \"$1\"/var/log/apt \"$1\"/etc/hostname; \
    : > \"$1\"/etc/resolv.conf; : > \"$1\"/etc/machine-id";

impl BaseImageSpec {
    /// The arguments; the new system's tar stream comes on standard output.
    ///
    /// # Errors
    /// When a part of the wish could be taken for something else than it is.
    pub fn arguments(&self) -> Result<Vec<String>, BaseImageError> {
        check("suite", &self.suite, |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))?;
        // Names as in Debian policy §5.6.7, with `=version`, `/suite` and `:architecture` behind.
        let is_package =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'=' | b'/' | b':' | b'~');
        self.packages.iter().try_for_each(|package| check("package", package, is_package))?;
        let mut arguments =
            vec!["--mode=root".to_owned(), "--variant=minbase".to_owned(), "--format=tar".to_owned()];
        if !self.packages.is_empty() {
            arguments.push(format!("--include={}", self.packages.join(",")));
        }
        arguments.push("--aptopt=Acquire::Languages \"none\"".to_owned());
        arguments.push("--aptopt=Acquire::Retries \"3\"".to_owned());
        // Whatever is half-written after a power cut is made again: flushing each package is time for nothing.
        arguments.push("--dpkgopt=force-unsafe-io".to_owned());
        arguments.extend(LEFT_OUT.iter().map(|option| format!("--dpkgopt={option}")));
        arguments.push(format!("--customize-hook={CLEAN}"));
        arguments.push(self.suite.clone());
        arguments.push("-".to_owned());
        if let Some(mirror) = &self.mirror {
            let is_url =
                ["http://", "https://", "file:/", "deb "].iter().any(|start| mirror.starts_with(start));
            if !is_url || mirror.chars().any(char::is_control) {
                return Err(BaseImageError::Bad { what: "mirror", text: mirror.clone() });
            }
            arguments.push(mirror.clone());
        }
        Ok(arguments)
    }

    /// What containers of it run by default.
    pub(crate) fn config(&self) -> ImageConfig {
        ImageConfig {
            cmd: vec!["/bin/sh".to_owned()],
            env: vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()],
            labels: [("org.opencontainers.image.version".to_owned(), self.suite.clone())].into(),
            ..ImageConfig::default()
        }
    }
}

/// A word that begins with a letter or digit, so that it is no option.
fn check(what: &'static str, text: &str, is_allowed: impl Fn(u8) -> bool) -> Result<(), BaseImageError> {
    let begins_well = text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
    if begins_well && text.bytes().all(is_allowed) {
        Ok(())
    } else {
        Err(BaseImageError::Bad { what, text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_says_what_is_wanted() {
        let spec = BaseImageSpec {
            packages: vec!["python3-minimal".to_owned(), "ca-certificates".to_owned()],
            mirror: Some("http://deb.example.org/debian".to_owned()),
            ..BaseImageSpec::default()
        };
        let arguments = spec.arguments().unwrap();
        assert!(arguments.contains(&"--include=python3-minimal,ca-certificates".to_owned()));
        assert_eq!(arguments[arguments.len() - 3..], ["bookworm", "-", "http://deb.example.org/debian"]);
        assert_eq!(spec.name.to_string(), "kogge/base:12");
    }

    #[test]
    fn nothing_can_pass_for_an_option() {
        for (suite, package, mirror) in [
            ("--help", "a", "http://x"),
            ("", "a", "http://x"),
            ("sid;x", "a", "http://x"),
            ("sid", "-x", "http://x"),
            ("sid", "a,b", "http://x"),
            ("sid", "a b", "http://x"),
            ("sid", "a", "--hook=x"),
            ("sid", "a", "http://x\nevil"),
        ] {
            let spec = BaseImageSpec {
                suite: suite.to_owned(),
                packages: vec![package.to_owned()],
                mirror: Some(mirror.to_owned()),
                ..BaseImageSpec::default()
            };
            assert!(spec.arguments().is_err(), "{suite:?} {package:?} {mirror:?}");
        }
    }
}
