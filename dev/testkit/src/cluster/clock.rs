//! Wall clocks that are wrong: a small library stands before the C library's and adds a number of seconds, which lies in
//! a file that both map. Time namespaces of Linux shift only monotonic clocks; those stay right here, as they do on a
//! machine whose date is set.
//!
//! Programs that ask the kernel without the C library do not notice: static ones, and those in Go, such as etcd.

use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::str::FromStr;

use super::program::output;
use super::{BedError, Launch};

const LIBRARY: &str = include_str!("wrong_clock.c");

/// By how much a clock is wrong, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift(i64);

impl Shift {
    /// Not at all.
    pub const NONE: Self = Self(0);
}

impl fmt::Display for Shift {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:+}", self.0)
    }
}

impl FromStr for Shift {
    type Err = String;

    /// `+1d`, `-3h`, `90s`, `+5m`.
    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("{text:?} is no shift of a clock: give one like +1d, -3h, +90s");
        let unit = match text.bytes().last() {
            Some(b's') => 1,
            Some(b'm') => 60,
            Some(b'h') => 3_600,
            Some(b'd') => 86_400,
            _ => return Err(refused()),
        };
        let number: i64 = text[..text.len() - 1].parse().map_err(|_| refused())?;
        number.checked_mul(unit).map(Self).ok_or_else(refused)
    }
}

/// The launch with a clock that `file` shifts, while it runs. The library is built beside it.
pub(crate) fn shiftable(launch: Launch, file: &Path) -> Result<Launch, BedError> {
    let (source, library) = (file.with_extension("c"), file.with_extension("so"));
    if !library.exists() {
        fs::write(&source, LIBRARY).map_err(BedError::file("write", &source))?;
        let words = ["-shared", "-fPIC", "-O1", "-o"];
        output(Command::new("cc").args(words).arg(&library).arg(&source))?;
        set(file, Shift::NONE)?;
    }
    Ok(launch
        .with_env("LD_PRELOAD", library.to_string_lossy())
        .with_env("WRONG_CLOCK", file.to_string_lossy()))
}

/// Shifts the clock, at once.
pub(crate) fn set(file: &Path, shift: Shift) -> Result<(), BedError> {
    // In place: the program has this very file before its eyes.
    let out = File::options().create(true).truncate(false).write(true).open(file);
    let written = out.and_then(|out| out.write_all_at(&shift.0.to_ne_bytes(), 0));
    written.map_err(BedError::file("write", file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts_have_a_unit_and_a_sign() {
        for (text, expected) in [("+1d", "+86400"), ("-3h", "-10800"), ("90s", "+90"), ("0s", "+0")] {
            assert_eq!(text.parse::<Shift>().unwrap().to_string(), expected);
        }
        for text in ["", "s", "1", "+1w", "1.5h", "é", "9223372036854775807d"] {
            assert!(text.parse::<Shift>().is_err(), "{text}");
        }
    }
}
