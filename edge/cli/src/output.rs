//! How answers are told: one trait, two formats.

use std::io::{self, Write};

use kogge_model::time::Timestamp;
use serde::Serialize;

use crate::args::Format;

/// An answer that can be told to people; programs get its JSON.
pub(crate) trait Show: Serialize {
    /// Writes it for people.
    fn show(&self, page: &mut Page<'_>) -> io::Result<()>;
}

/// Where an answer for people is written.
pub(crate) struct Page<'a> {
    pub(crate) out: &'a mut dyn Write,
    /// For "5m ago".
    pub(crate) now: Timestamp,
}

/// Writes one answer.
pub(crate) fn print(answer: &(impl Show + ?Sized), format: Format, page: &mut Page<'_>) -> io::Result<()> {
    match format {
        Format::Text => answer.show(page)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut *page.out, answer)?;
            writeln!(page.out)?;
        }
    }
    page.out.flush()
}

/// Writes one answer of many that come one after the other: as JSON, one a line.
pub(crate) fn print_next(answer: &impl Show, format: Format, page: &mut Page<'_>) -> io::Result<()> {
    match format {
        Format::Text => answer.show(page)?,
        Format::Json => {
            serde_json::to_writer(&mut *page.out, answer)?;
            writeln!(page.out)?;
        }
    }
    page.out.flush()
}
