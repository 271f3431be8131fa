//! What every command has: the cloud that is meant, a page for data, and standard error for talk.

use std::io::{self, IsTerminal as _, Write};

use kogge_client::{Client, Cloud, Locate};

use crate::args::{Format, Global};
use crate::failure::Failure;
use crate::output::{self, Page, Show};
use crate::progress::Progress;
use crate::time;

pub(crate) struct Context {
    locate: Locate,
    pub(crate) format: Format,
    out: Box<dyn Write>,
    talk: Box<dyn Write>,
}

impl Context {
    /// Data to standard output, talk to standard error.
    pub(crate) fn new(global: &Global) -> Self {
        Self {
            locate: Locate { api: global.api.clone(), data: global.data.clone() },
            format: global.output,
            out: Box::new(io::stdout()),
            talk: Box::new(io::stderr()),
        }
    }

    pub(crate) fn cloud(&self) -> Result<Cloud, Failure> {
        Ok(self.locate.find()?)
    }

    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Ok(Client::new(&self.cloud()?.api)?)
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
