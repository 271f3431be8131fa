//! `cargo xtask dist`: what is handed out. One static binary that needs nothing but a kernel and the programs it calls,
//! its systemd unit, the licence, and their digests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::program::{copy, output, run as run_program, talk};
use crate::tidy::root;

/// Arguments of `cargo xtask dist`.
#[derive(clap::Args)]
pub(crate) struct Arguments {}

/// Where `dist` puts what is handed out.
pub(crate) fn folder() -> PathBuf {
    root().join("target/dist")
}

/// Builds it, looks at it, runs it, and puts it into `target/dist`.
pub(crate) fn run(_: &Arguments) -> anyhow::Result<()> {
    let target = host_target()?;
    let built = build(&target)?;
    let folder = folder();
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    fs::create_dir_all(&folder)?;
    copy(&built, &folder.join("kogge"))?;
    copy(&root().join("examples/systemd/kogge.service"), &folder.join("kogge.service"))?;
    copy(&root().join("LICENSE"), &folder.join("LICENSE"))?;
    must_be_static(&folder.join("kogge"))?;
    // With an empty environment, as on a machine that has nothing.
    let version = output(Command::new(folder.join("kogge")).arg("--version").env_clear())?;
    let digests =
        output(Command::new("sha256sum").args(["kogge", "kogge.service", "LICENSE"]).current_dir(&folder))?;
    fs::write(folder.join("SHA256SUMS"), digests)?;
    let mib = fs::metadata(folder.join("kogge"))?.len() as f64 / f64::from(1 << 20);
    talk(&format!("{}: {}, static, {mib:.1} MiB", folder.join("kogge").display(), version.trim()));
    Ok(())
}

/// This machine's target triple. It is named to cargo although it is the default: only then are build scripts and
/// procedural macros, which must stay dynamic, built without the flags of the target.
fn host_target() -> anyhow::Result<String> {
    let text = output(Command::new("rustc").arg("-vV"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc -vV names no host")?.to_owned())
}

fn build(target: &str) -> anyhow::Result<PathBuf> {
    talk("dist: building the static binary");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--profile", "shipped", "--locked", "--package", "kogge", "--target", target]);
    command.env("RUSTFLAGS", "-C target-feature=+crt-static -C relocation-model=static");
    command.env("LIBSECCOMP_LINK_TYPE", "static").env("LIBSECCOMP_LIB_PATH", library_folder("libseccomp.a")?);
    run_program(command.current_dir(root()))?;
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    Ok(root().join(folder).join(target).join("shipped/kogge"))
}

/// Where the C compiler finds a library; it repeats the bare name when it finds none.
fn library_folder(library: &str) -> anyhow::Result<PathBuf> {
    let found = output(Command::new("cc").arg(format!("-print-file-name={library}")))?;
    match Path::new(found.trim()).canonicalize() {
        Ok(path) if path.is_absolute() && found.contains('/') => {
            Ok(path.parent().expect("a file lies in a folder").to_owned())
        }
        _ => bail!("the static library {library} is not installed: run `dev/packages build`"),
    }
}

/// Fails when the program wants a loader or a library of the machine it runs on.
fn must_be_static(program: &Path) -> anyhow::Result<()> {
    let headers = output(
        Command::new("readelf")
            .args(["--wide", "--program-headers", "--dynamic"])
            .arg(program)
            .env("LC_ALL", "C"),
    )?;
    let wishes = wishes(&headers);
    if !wishes.is_empty() {
        bail!("{} is not static: {}", program.display(), wishes.join(", "));
    }
    Ok(())
}

/// What a program wants from outside, by what `readelf` tells about it.
fn wishes(headers: &str) -> Vec<String> {
    let is_wish = |line: &&str| line.starts_with("INTERP") || line.contains("(NEEDED)");
    headers.lines().map(str::trim).filter(is_wish).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_a_loader_or_a_library_is_not_static() {
        let dynamic = "  INTERP         0x000318 0x0000000000000318\n  LOAD 0x0\n 0x01 (NEEDED)  Shared library: [libc.so.6]";
        assert_eq!(wishes(dynamic).len(), 2);
        assert!(
            wishes("  LOAD           0x000000\n  DYNAMIC        0x7\n 0x1e (FLAGS)   STATIC_TLS").is_empty()
        );
    }

    #[test]
    fn a_dynamic_program_of_this_machine_is_refused() {
        let refused = must_be_static(Path::new("/bin/ls")).unwrap_err();
        assert!(refused.to_string().contains("NEEDED"), "{refused}");
    }
}
