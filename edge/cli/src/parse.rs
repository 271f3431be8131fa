//! From words to a [`Cli`]: old spellings are understood, refusals look like all our failures.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};

use crate::args::Cli;
use crate::failure::Failure;

/// What the words say.
#[derive(Debug)]
pub enum Parsed {
    /// A command.
    Cli(Box<Cli>),
    /// Help or version was asked for: text for standard output.
    Text(String),
}

/// Reads the program's arguments, the program's own name first.
///
/// # Errors
/// When they make no sense; the failure's exit code is 2.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Parsed, Failure> {
    let words = modern(words.into_iter().collect());
    let error = match Cli::try_parse_from(&words) {
        Ok(cli) => return Ok(Parsed::Cli(Box::new(cli))),
        Err(error) => error,
    };
    let text = error.render().to_string();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Ok(Parsed::Text(text));
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let group = command(&words).map(|name| format!("{name} ")).unwrap_or_default();
        return Err(Failure::usage("no command was given").with_hint(format!("see `kogge {group}--help`")));
    }
    let mut paragraphs = text.split("\n\n");
    let first = paragraphs.next().unwrap_or_default().trim_start_matches("error: ");
    let sentence: Vec<&str> = first.lines().map(str::trim).collect();
    let tips: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("tip: ")).collect();
    let help = match command(&words).filter(|name| Cli::command().find_subcommand(name).is_some()) {
        Some(name) => format!("see `kogge {name} --help`"),
        None => "see `kogge --help`".to_owned(),
    };
    let hint = if tips.is_empty() { help } else { format!("{}; {help}", tips.join("; ")) };
    Err(Failure::usage(sentence.join(" ")).with_hint(hint))
}

/// Where the command stands among the words: the first that is neither an option nor an option's value.
fn position(words: &[OsString]) -> Option<usize> {
    let mut at = 1;
    while let Some(word) = words.get(at) {
        match word.to_str() {
            Some("--data" | "--api" | "--token-file" | "--output") => at += 2,
            Some(option) if option.starts_with('-') => at += 1,
            _ => return Some(at),
        }
    }
    None
}

fn command(words: &[OsString]) -> Option<&str> {
    words.get(position(words)?)?.to_str()
}

/// `image:load` is `image load`; spellings of one word are aliases of their commands.
fn modern(mut words: Vec<OsString>) -> Vec<OsString> {
    if let Some(at) = position(&words)
        && let Some((group, verb)) = words[at].to_str().and_then(|word| word.split_once(':'))
        && matches!(group, "image" | "images")
    {
        let verb = OsString::from(verb);
        words[at] = "image".into();
        words.insert(at + 1, verb);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Command, Format, ImageCommand};

    fn read(line: &str) -> Result<Parsed, Failure> {
        parse(std::iter::once("kogge").chain(line.split_whitespace()).map(OsString::from))
    }

    fn cli(line: &str) -> Cli {
        match read(line) {
            Ok(Parsed::Cli(cli)) => *cli,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn refused(line: &str) -> (String, String) {
        let failure = read(line).expect_err(line);
        assert_eq!(failure.code(), 2, "{line}");
        (failure.text().to_owned(), failure.hint().unwrap_or_default().to_owned())
    }

    #[test]
    fn the_definition_of_all_commands_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_manual_is_understood() {
        for line in [
            "up",
            "up --detach --data /d --doors ephemeral",
            "down",
            "down --keep-tasks",
            "status --output json",
            "doors",
            "create hello",
            "apps",
            "deploy --image hello:latest",
            "deploy --image x --command y --name n --env A=b --cpus 0.5 --mem 64M --instances 2 --health /up --port 80",
            "deploy --command serve --name n --host-network --detach",
            "deploy --image x -- prog -a b",
            "ps",
            "ps --all",
            "scale web=3 worker=0",
            "restart web",
            "stop web",
            "destroy web --yes",
            "logs",
            "logs -f --since 5m -n 10 web",
            "exec -it web.1 -- sh -c true",
            "exec web.1 -- sh",
            "why web",
            "token create ann",
            "token create ann --expires 12h",
            "token create ann --expires never",
            "token list",
            "ca --api https://s1:7400,https://s2:7400 --token-file /t",
            "git-config",
            "git-credential get",
            "token revoke ann 0123456789ab",
            "image load f.tar",
            "image load -",
            "image list",
            "image rm a b",
            "image build-base --name b --packages curl,git",
            "node drain m1 --wait --timeout 5m -m disk",
            "node drain m1 --plan",
            "node undrain m1",
            "node label m1 zone=a disk-",
            "node reserve m1 --cpus 1 --mem 2G",
            "node forget m1 --yes",
            "events",
            "completion bash",
            "man",
            "shim --anything goes -x",
        ] {
            cli(line);
        }
    }

    #[test]
    fn global_options_stand_before_or_behind_the_command() {
        for line in ["--data /d --output json ps", "ps --output json --data /d"] {
            let global = cli(line).global;
            assert_eq!(
                (global.output, global.data.as_deref()),
                (Format::Json, Some("/d".as_ref())),
                "{line}"
            );
        }
    }

    #[test]
    fn old_spellings_are_understood() {
        assert!(matches!(cli("ps:scale web=3").command, Command::Scale(_)));
        assert!(matches!(cli("apps:create a").command, Command::Create(_)));
        assert!(matches!(cli("--data a:b image:rm x").command, Command::Image(ImageCommand::Rm(_))));
        assert!(matches!(cli("images:list").command, Command::Image(ImageCommand::List)));
    }

    #[test]
    fn refusals_are_one_sentence_and_a_hint() {
        for (line, text, hint) in [
            ("logs --folow", "unexpected argument '--folow' found", "see `kogge logs --help`"),
            ("scale web", "expected NAME=N, such as web=3", "see `kogge scale --help`"),
            ("scale web=many", "\"many\" is not a number of instances", "see `kogge scale --help`"),
            (
                "deploy --image x --mem much",
                "expected a size such as 64M or 1.5G",
                "see `kogge deploy --help`",
            ),
            ("deploy", "required arguments were not provided", "see `kogge deploy --help`"),
            ("node label m1 zone", "expected KEY=VALUE, or KEY- to take it away", "see `kogge node --help`"),
            ("frobnicate", "unrecognized subcommand 'frobnicate'", "see `kogge --help`"),
            ("ps --output xml", "[possible values: text, json]", "see `kogge ps --help`"),
            ("", "no command was given", "see `kogge --help`"),
            ("image", "no command was given", "see `kogge image --help`"),
            ("exec web.1 sh", "unexpected argument 'sh'", "see `kogge exec --help`"),
        ] {
            let (told, told_hint) = refused(line);
            assert!(told.contains(text) && !told.contains('\n'), "{line}: {told}");
            assert!(told_hint.contains(hint), "{line}: {told_hint}");
        }
    }

    #[test]
    fn help_and_version_are_no_failures() {
        for line in ["--help", "deploy --help", "--version"] {
            assert!(matches!(read(line), Ok(Parsed::Text(text)) if !text.is_empty()), "{line}");
        }
    }

    #[test]
    fn an_option_is_a_hint_away() {
        assert!(refused("logs --folow").1.contains("'--follow'"));
    }

    /// What every command says of itself, so that no flag comes, goes or changes its meaning unseen.
    #[test]
    fn help_is_as_it_was_read_last() {
        let mut root = Cli::command().term_width(100);
        root.build();
        let mut told = root.render_help().to_string();
        let mut commands: Vec<_> = root.get_subcommands().cloned().collect();
        while !commands.is_empty() {
            let mut command = commands.remove(0);
            if command.is_hide_set() {
                continue;
            }
            let help = command.render_help();
            let name = command.get_bin_name().unwrap_or_default();
            told.push_str(&format!("\n=== {name}\n\n{help}"));
            let below: Vec<_> = command.get_subcommands().cloned().collect();
            commands.splice(0..0, below);
        }
        insta::with_settings!({ snapshot_path => "../tests/golden" }, {
            insta::assert_snapshot!("help", told);
        });
    }
}
