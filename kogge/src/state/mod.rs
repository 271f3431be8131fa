//! `kogge state`: the state of a cloud that does not run, checked, saved, brought back or moved.

mod answer;
mod engine;

use std::fs::{DirBuilder, OpenOptions};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use kogge_cli::{BackupArgs, CopyArgs, Failure, Global, RestoreArgs, StateCommand};
use kogge_client::DEFAULT_DATA_DIR;
use kogge_control::state::{self, StateError};

use kogge_store::backend::redb::is_store;

pub(crate) use engine::Engine;

use crate::told::failure;
use answer::{Answer, Done};

/// Does what is asked, and tells what came of it.
pub(crate) fn run(command: &StateCommand, global: &Global) -> Result<u8, Failure> {
    let data = global.data.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start threads: {error}")))?;
    let answer = runtime.block_on(async {
        match command {
            StateCommand::Check(at) => check(&Engine::choose(at.state.as_deref(), &data)?).await,
            StateCommand::Backup(args) => back_up(args, &data).await,
            StateCommand::Restore(args) => restore(args, &data).await,
            StateCommand::Copy(args) => copy(args, &data).await,
        }
    })?;
    answer.tell(global.output)?;
    Ok(0)
}

async fn check(engine: &Engine) -> Result<Answer, Failure> {
    must_exist(engine)?;
    let store = engine.open().await?;
    let checked = state::check(store.as_ref()).await.map_err(|error| refused(engine, &error))?;
    Ok(Answer::Checked { engine: engine.to_string(), checked })
}

async fn back_up(args: &BackupArgs, data: &Path) -> Result<Answer, Failure> {
    let engine = Engine::choose(args.at.state.as_deref(), data)?;
    must_exist(&engine)?;
    let store = engine.open().await?;
    // Secrets stand in it.
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&args.file);
    let file = made.map_err(|error| cannot("make", &args.file, &error))?;
    let written = async {
        let mut sink = tokio::fs::File::from_std(file);
        let summary =
            state::back_up(store.as_ref(), &mut sink).await.map_err(|error| refused(&engine, &error))?;
        sink.sync_all().await.map_err(|error| cannot("write", &args.file, &error))?;
        Ok(summary)
    };
    let summary = written.await.inspect_err(|_: &Failure| drop(std::fs::remove_file(&args.file)))?;
    Ok(Answer::done(Done::Saved, &engine.to_string(), &args.file.display().to_string(), summary))
}

async fn restore(args: &RestoreArgs, data: &Path) -> Result<Answer, Failure> {
    let engine = Engine::choose(args.at.state.as_deref(), data)?;
    let (from, to) = (args.file.display().to_string(), engine.to_string());
    let file = std::fs::File::open(&args.file).map_err(|error| cannot("open", &args.file, &error))?;
    if args.plan {
        return Ok(Answer::Plan { from, to });
    }
    must_have_place(&engine)?;
    let store = engine.open().await?;
    let restored = state::restore(std::io::BufReader::new(file), store.as_ref(), progress).await;
    Ok(Answer::done(Done::Restored, &from, &to, restored.map_err(|error| refused(&engine, &error))?))
}

async fn copy(args: &CopyArgs, data: &Path) -> Result<Answer, Failure> {
    let (from, to) = (Engine::choose(Some(&args.from), data)?, Engine::choose(Some(&args.to), data)?);
    if from.to_string() == to.to_string() {
        return Err(Failure::usage("--from and --to are the same state"));
    }
    if args.plan {
        return Ok(Answer::Plan { from: from.to_string(), to: to.to_string() });
    }
    must_exist(&from)?;
    must_have_place(&to)?;
    let (source, target) = (from.open().await?, to.open().await?);
    let copied = state::copy(source.as_ref(), target.as_ref(), progress).await;
    Ok(Answer::done(
        Done::Copied,
        &from.to_string(),
        &to.to_string(),
        copied.map_err(|error| refused(&to, &error))?,
    ))
}

/// Looking must not make a new, empty state.
fn must_exist(engine: &Engine) -> Result<(), Failure> {
    match engine {
        Engine::Embedded(directory) if !is_store(directory) => {
            Err(Failure::new(format!("there is no state in {}", directory.display()))
                .with_hint("name the data directory with --data, or the engine with --state"))
        }
        _ => Ok(()),
    }
}

fn must_have_place(engine: &Engine) -> Result<(), Failure> {
    match engine {
        Engine::Embedded(directory) => {
            // Secrets stand in it.
            let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
            made.map_err(|error| cannot("make", directory, &error))
        }
        Engine::Etcd(_) | Engine::ZooKeeper(_) => Ok(()),
    }
}

/// For whoever watches; the line is taken away by the next one.
fn progress(records: u64) {
    let mut error = std::io::stderr();
    if error.is_terminal() {
        let _ = write!(error, "\r{records} records \r");
    }
}

fn cannot(action: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot {action} {}: {error}", path.display()))
}

fn refused(engine: &Engine, error: &StateError) -> Failure {
    let hint = match error {
        StateError::Led => "kogge down --keep-tasks ends the server and lets the tasks run on",
        StateError::Import(kogge_store::import::ImportError::NotEmpty { .. }) => {
            "name an empty directory, prefix or path: a state is never overwritten"
        }
        StateError::Empty => "is this the right directory, prefix or path?",
        StateError::Load(_) => "restore it from a backup; running tasks are not touched",
        _ => "",
    };
    let failed = failure(&engine.to_string(), error);
    if hint.is_empty() { failed } else { failed.with_hint(hint) }
}
