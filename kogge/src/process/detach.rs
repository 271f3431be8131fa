//! `--detach`: a command as a process of its own, and the word that it is up.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use kogge_cli::{Failure, Format};
use kogge_model::view::DoorsView;
use serde::{Deserialize, Serialize};

use super::place::Place;

/// Names the file descriptor on which the child tells how its start went.
const READY: &str = "KOGGE_READY_FD";

/// How a start went.
#[derive(Debug, Serialize, Deserialize)]
enum Word {
    Up(DoorsView),
    Failed { text: String, hint: Option<String> },
}

/// The child's way to tell; it tells once.
pub(crate) struct Ready(Mutex<Option<File>>);

impl Ready {
    /// What the parent handed down, if this process was started in the background.
    pub(crate) fn inherited() -> Self {
        let fd = std::env::var(READY).ok().and_then(|text| text.parse::<i32>().ok());
        Self(Mutex::new(fd.map(adopt)))
    }

    /// Whether nobody looks at standard error.
    pub(crate) fn is_background(&self) -> bool {
        self.0.lock().is_ok_and(|file| file.is_some())
    }

    /// The cloud is up.
    pub(crate) fn up(&self, doors: &DoorsView) {
        if !self.is_background() {
            let mut error = std::io::stderr();
            for (door, url) in &doors.0 {
                let _ = writeln!(error, "{door}: {url}");
            }
            let _ = writeln!(error, "up; Ctrl-C leaves the tasks running");
        }
        if self.is_background() {
            // Paths in the arguments have been used; from now on no directory shall be held that is not ours.
            let _ = std::env::set_current_dir("/");
        }
        self.tell(&Word::Up(doors.clone()));
    }

    /// It will not come up.
    pub(crate) fn failed(&self, failure: &Failure) {
        let hint = failure.hint().map(str::to_owned);
        self.tell(&Word::Failed { text: failure.text().to_owned(), hint });
    }

    fn tell(&self, word: &Word) {
        let Some(mut file) = self.0.lock().ok().and_then(|mut file| file.take()) else { return };
        // The parent may have been killed; then nobody waits.
        let _ = serde_json::to_vec(word).map(|line| file.write_all(&line));
    }
}

#[expect(unsafe_code, reason = "a file descriptor number from the parent becomes a file")]
fn adopt(fd: i32) -> File {
    // SAFETY: the parent made this pipe for us alone and named it in our environment; nothing else owns it.
    let file = unsafe { File::from_raw_fd(fd) };
    // No task or build may keep it open: the parent waits for its end.
    let _ = rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::CLOEXEC);
    file
}

/// Starts this program with `words` in the background and waits until it is up.
pub(super) fn start(place: &Place, words: &[OsString], format: Format) -> Result<u8, Failure> {
    place.prepare()?;
    let cannot = |error: std::io::Error| Failure::new(format!("cannot start in the background: {error}"));
    let (mut reader, writer) = std::io::pipe().map_err(cannot)?;
    let fd = writer.as_raw_fd();
    rustix::io::fcntl_setfd(&writer, rustix::io::FdFlags::empty()).map_err(|errno| cannot(errno.into()))?;
    let log = File::options().create(true).append(true).open(place.log_file()).map_err(cannot)?;
    let mut command = Command::new(std::env::current_exe().map_err(cannot)?);
    command
        .args(words)
        .env(READY, fd.to_string())
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(cannot)?)
        .stderr(log)
        .process_group(0);
    command.spawn().map_err(cannot)?;
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).map_err(cannot)?;
    match serde_json::from_str(&text) {
        Ok(Word::Up(doors)) => {
            tell(&doors, format);
            Ok(0)
        }
        Ok(Word::Failed { text, hint }) => {
            let failure = Failure::new(text);
            Err(match hint {
                Some(hint) => failure.with_hint(hint),
                None => failure,
            })
        }
        Err(_) => Err(Failure::new("it ended while it started")
            .with_hint(format!("its last words stand in {}", place.log_file().display()))),
    }
}

/// For people beside their work, for programs as the answer. A reader that is gone is no failure.
fn tell(doors: &DoorsView, format: Format) {
    match (format, serde_json::to_string(doors)) {
        (Format::Json, Ok(text)) => {
            let _ = writeln!(std::io::stdout(), "{text}");
        }
        _ => {
            for (door, url) in &doors.0 {
                let _ = writeln!(std::io::stderr(), "{door}: {url}");
            }
        }
    }
}
