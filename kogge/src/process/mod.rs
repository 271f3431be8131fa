//! What every long-running command has: a place, a log, threads, a background, signals.

mod detach;
mod logging;
mod place;
mod signals;
mod threads;

use std::ffi::OsString;

use kogge_cli::{Failure, Format};
use kogge_host::tasks::{OnPanic, TaskGroup};

pub(crate) use detach::Ready;
pub(crate) use place::Place;
pub(crate) use signals::Signals;
pub(crate) use threads::Threads;

/// Until a start is over: connected, registered, recovered.
const START: std::time::Duration = std::time::Duration::from_secs(5);

/// Runs `body` to its end in this process, or in the background as a process of its own with the words
/// `background`.
pub(crate) fn run(
    place: &Place,
    background: Option<Vec<OsString>>,
    format: Format,
    body: impl AsyncFnOnce(&Ready) -> Result<(), Failure>,
) -> Result<u8, Failure> {
    if let Some(words) = background {
        return detach::start(place, &words, format);
    }
    let ready = Ready::inherited();
    match serve(place, &ready, body) {
        Ok(()) => Ok(0),
        Err(failure) => {
            ready.failed(&failure);
            Err(failure)
        }
    }
}

/// This very command, without the wish for the background.
pub(crate) fn own_words() -> Vec<OsString> {
    std::env::args_os().skip(1).filter(|word| word != "--detach" && word != "-d").collect()
}

/// Once the start is over, what only it needed is given back.
pub(crate) fn settle(group: &TaskGroup) {
    let token = group.token();
    group.spawn("code of the start", OnPanic::Log, async move {
        tokio::select! {
            () = token.cancelled() => return,
            () = tokio::time::sleep(START) => {}
        }
        if let Err(error) = kogge_host::memory::release_code() {
            tracing::debug!(%error, "the code of the start stays in memory");
        }
    });
}

fn serve(
    place: &Place,
    ready: &Ready,
    body: impl AsyncFnOnce(&Ready) -> Result<(), Failure>,
) -> Result<(), Failure> {
    place.prepare()?;
    kogge_host::open_files::allow_most();
    let log = ready.is_background().then(|| place.log_file());
    logging::start(log.as_deref()).map_err(|error| Failure::new(format!("cannot write the log: {error}")))?;
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_keep_alive(std::time::Duration::from_secs(2))
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start threads: {error}")))?;
    runtime.block_on(Box::pin(body(ready))).inspect_err(|_| place.give_up())
}
