//! What the cloud's process says of itself: to standard error, or to a file with a bound.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Size at which the log file is put aside; one old file is kept.
const MAX_BYTES: u64 = 8 << 20;

/// Sends `tracing` to `file`, or to standard error. `KOGGE_LOG` says how much (`info`, `debug`, `kogge_agent=trace`).
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn start(file: Option<&Path>) -> io::Result<()> {
    let filter = EnvFilter::try_from_env("KOGGE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_target(true);
    // A second subscriber in the same process (tests) is no fault.
    match file {
        Some(path) => {
            let _ = builder.with_ansi(false).with_writer(Bounded::open(path)?).try_init();
        }
        None => {
            let is_watched = io::stderr().is_terminal();
            let _ = builder.with_ansi(is_watched).with_writer(io::stderr).try_init();
        }
    }
    Ok(())
}

/// A log file that never grows beyond its bound.
#[derive(Clone)]
struct Bounded(Arc<Mutex<Log>>);

struct Log {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Bounded {
    fn open(path: &Path) -> io::Result<Self> {
        let file = append(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self(Arc::new(Mutex::new(Log { path: path.to_owned(), file, bytes }))))
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if log.bytes > MAX_BYTES {
            std::fs::rename(&log.path, log.path.with_extension("log.old"))?;
            log.file = append(&log.path)?;
            log.bytes = 0;
        }
        log.file.write_all(bytes)?;
        log.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Bounded {
    type Writer = Self;

    fn make_writer(&'a self) -> Self::Writer {
        self.clone()
    }
}
