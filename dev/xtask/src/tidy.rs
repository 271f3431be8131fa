//! `cargo xtask tidy`: the rules of the house that compilers do not know.
//!
//! Each rule is a file: a function from what it looks at to findings, and tests that show it a house in which the
//! rule is broken. The whole house is looked at by the command and by a plain test.

mod channels;
mod crates;
mod finding;
mod front_pages;
mod names;
mod paths;
mod purity;
mod sizes;
mod source;
mod walls;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crates::House;
use finding::Finding;
use source::Source;

/// Arguments of `cargo xtask tidy`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The workspace to look at
    #[arg(long, default_value_os_t = root())]
    root: PathBuf,
    /// Also print how large files and functions are
    #[arg(long)]
    sizes: bool,
}

/// The workspace this program was built from.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the crate lies two folders deep")
        .to_owned()
}

/// Fails after printing what is untidy.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (house, sources) = look(&arguments.root)?;
    if arguments.sizes {
        say(&sizes::summary(&sources));
    }
    let findings = inspect(&arguments.root, &house, &sources)?;
    for finding in &findings {
        say(&finding.to_string());
    }
    match findings.len() {
        0 => Ok(()),
        1 => bail!("1 finding"),
        count => bail!("{count} findings"),
    }
}

#[expect(clippy::print_stdout, reason = "findings are what this program is asked for")]
fn say(line: &str) {
    println!("{line}");
}

fn look(root: &Path) -> anyhow::Result<(House, Vec<Source>)> {
    let house = House::of(root)?;
    let mut sources = Vec::new();
    for package in &house.packages {
        for path in source::files_below(&root.join(&package.room))? {
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            sources.push(Source::parse(&name, &text)?);
        }
    }
    source::mark_tests(&mut sources);
    Ok((house, sources))
}

fn inspect(root: &Path, house: &House, sources: &[Source]) -> anyhow::Result<Vec<Finding>> {
    let list = root.join(sizes::RATCHET);
    let ratchet =
        std::fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let mut findings = walls::check(house);
    findings.extend(purity::check_crates(house));
    findings.extend(front_pages::check_crates(house));
    findings.extend(front_pages::check(sources));
    findings.extend(sizes::check(sources, &sizes::Ratchet::parse(&ratchet)?));
    for source in sources {
        findings.extend(names::check(source));
        findings.extend(channels::check(source));
        findings.extend(purity::check(source));
    }
    findings.sort();
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        let (house, sources) = look(&root()).unwrap();
        assert!(house.packages.len() > 10 && sources.len() > 50, "the whole house is looked at");
        let findings = inspect(&root(), &house, &sources).unwrap();
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "\n{}", lines.join("\n"));
    }
}
