//! One segment file: whole records out of bytes that may still be growing.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use kogge_model::log_record::MAX_RECORD_BYTES;

/// How much is read at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// The numbers of the segments in `dir`, in order. A directory that does not exist has none.
pub(crate) fn segment_numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let number: Option<u64> = name.to_str().and_then(|name| name.strip_suffix(".log")?.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// An open segment and how far it is read. It can be read to its end even if it is removed meanwhile.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    file: File,
    /// Bytes of the file that stand in `block` or before.
    read_bytes: u64,
    block: Vec<u8>,
    /// The part of `block` that has not been given out.
    rest: Range<usize>,
    is_skipping: bool,
}

impl Segment {
    /// None if it does not exist (any more).
    pub(crate) fn open(dir: &Path, number: u64) -> io::Result<Option<Self>> {
        match File::open(segment_path(dir, number)) {
            Ok(file) => Ok(Some(Self {
                number,
                file,
                read_bytes: 0,
                block: Vec::new(),
                rest: 0..0,
                is_skipping: false,
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The next whole line without its newline; none if there is none yet. Lines that are longer than any record
    /// are left out.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            let rest = &self.block[self.rest.clone()];
            if let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
                let line = self.rest.start..self.rest.start + length;
                self.rest.start += length + 1;
                if std::mem::take(&mut self.is_skipping) {
                    continue;
                }
                return Ok(Some(&self.block[line]));
            }
            if rest.len() > MAX_RECORD_BYTES {
                tracing::warn!(segment = self.number, "a log segment has a line longer than any record");
                self.rest.start = self.rest.end;
                self.is_skipping = true;
            }
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    /// Reads on; how many bytes.
    fn fill(&mut self) -> io::Result<usize> {
        // A writer that ran out of disk cuts its torn record off again.
        if self.file.metadata()?.len() < self.read_bytes {
            self.read_bytes = self.file.seek(SeekFrom::End(0))?;
            self.rest = 0..0;
        }
        let kept = self.rest.len();
        self.block.copy_within(self.rest.clone(), 0);
        self.block.resize(kept + BLOCK_BYTES, 0);
        self.rest = 0..kept;
        let bytes = self.file.read(&mut self.block[kept..])?;
        self.rest.end += bytes;
        self.read_bytes += u64::try_from(bytes).expect("a block's length fits into 64 bits");
        if self.rest.is_empty() {
            // At the end for now, perhaps for hours.
            self.block = Vec::new();
        }
        Ok(bytes)
    }
}

fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.log"))
}
