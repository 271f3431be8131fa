//! What every command has: the cloud that is meant, a page for data, and standard error for talk.

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use kogge_client::{Client, Cloud, Locate};
use kogge_model::token::OperatorToken;

use crate::args::{Format, Global};
use crate::failure::Failure;
use crate::output::{self, Page, Show};
use crate::progress::Progress;
use crate::time;
use crate::token_file;

pub(crate) struct Context {
    locate: Locate,
    token_file: Option<PathBuf>,
    pub(crate) format: Format,
    out: Box<dyn Write>,
    talk: Box<dyn Write>,
}

impl Context {
    /// Data to standard output, talk to standard error.
    pub(crate) fn new(global: &Global) -> Self {
        Self {
            locate: Locate { api: global.api.clone(), data: global.data.clone() },
            token_file: global.token_file.clone(),
            format: global.output,
            out: Box::new(io::stdout()),
            talk: Box::new(io::stderr()),
        }
    }

    pub(crate) fn cloud(&self) -> Result<Cloud, Failure> {
        Ok(self.locate.find()?)
    }

    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let api = self.cloud()?.api;
        // Nobody needs a token, nor a file with one, to talk to the cloud of this machine.
        let token = if api.contains("https://") { self.token()? } else { None };
        Ok(Client::with_token(&api, token)?)
    }

    /// The operator's token, if there is one.
    pub(crate) fn token(&self) -> Result<Option<OperatorToken>, Failure> {
        token_file::find(self.token_file.as_deref())
    }

    /// The file that was named for it.
    pub(crate) fn token_file(&self) -> Option<&Path> {
        self.token_file.as_deref()
    }

    /// Tells an answer.
    pub(crate) fn print(&mut self, answer: &(impl Show + ?Sized)) -> Result<(), Failure> {
        let mut page = Page { out: &mut *self.out, now: time::now() };
        Ok(output::print(answer, self.format, &mut page)?)
    }

    /// Tells one answer of many that come one after the other.
    pub(crate) fn print_next(&mut self, answer: &impl Show) -> Result<(), Failure> {
        let mut page = Page { out: &mut *self.out, now: time::now() };
        Ok(output::print_next(answer, self.format, &mut page)?)
    }

    /// Writes text as it is, whatever the format.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes)?;
        Ok(self.out.flush()?)
    }

    /// Says something to people that is no data. Nobody listening is no failure.
    pub(crate) fn say(&mut self, text: &str) {
        let _ = writeln!(self.talk, "{text}");
    }

    /// Something that takes its time.
    pub(crate) fn progress() -> Progress {
        Progress::new(io::stderr().is_terminal())
    }
}
