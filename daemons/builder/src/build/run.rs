//! A build run: bounded, streamed, and gone without a trace when it is cancelled.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use kogge_model::image::ImageRef;
use kogge_model::name::AppId;
use kogge_model::reason::Reason;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::build::base::Bases;
use crate::build::command::Build;
use crate::build::source::Origin;
use crate::build::{BuildError, Buildah, dockerfile, source};
use crate::config::Config;
use crate::ports::{BuildNetwork, Images};

/// Longest line passed on; longer ones are cut.
const MAX_LINE_BYTES: u64 = 8 * 1024;
/// What an inner command may print.
const MAX_CAPTURE_BYTES: u64 = 64 * 1024;

/// Where a build's output goes. A reader that is slow slows the build down; one that is gone is told nothing.
#[derive(Debug, Clone)]
pub(crate) struct Lines(pub(crate) mpsc::Sender<String>);

impl Lines {
    /// Passes a line on.
    pub(crate) async fn say(&self, line: String) {
        let _ = self.0.send(line).await;
    }
}

/// What all builds share.
pub(crate) struct Workshop {
    pub(crate) config: Arc<Config>,
    pub(crate) buildah: Buildah,
    pub(crate) bases: Bases,
    pub(crate) images: Arc<dyn Images>,
    pub(crate) network: Arc<dyn BuildNetwork>,
}

/// One commit to build.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) app: AppId,
    pub(crate) commit: String,
    pub(crate) origin: Origin,
}

/// Builds the image of a commit and puts it into the image store.
pub(crate) async fn build(shop: &Workshop, job: &Job, lines: &Lines) -> Result<ImageRef, BuildError> {
    let place = shop.config.data_dir.join("builds").join(&job.id);
    let room = Room::make(&place)?;
    let files = room.path.join("source");
    std::fs::create_dir_all(&files).map_err(|error| no_place(&error))?;
    source::write(&job.origin, &job.commit, &files, shop.config.max_source_bytes).await?;
    let text = read_dockerfile(&files, &job.commit)?;
    let bases = dockerfile::bases(&text);
    shop.bases.provide(&bases, shop.images.as_ref(), &shop.buildah, room.path.clone(), lines).await?;
    // One build of an app runs at a time, so the name can be the same: the layers under it are the next one's cache.
    let tag = format!("kogge-build/{}/{}:latest", job.app.environment, job.app.app);
    let namespace = shop.network.open(job.id.clone()).await.map_err(BuildError::Machine)?;
    let limit = shop.config.time_limit;
    let line = shop.buildah.build(&shop.config, Build { tag: &tag, source: &files, commit: &job.commit });
    let ran = tokio::time::timeout(limit, stream(within(&namespace, line), &shop.buildah, lines)).await;
    shop.network.close(job.id.clone()).await;
    ran.unwrap_or_else(|_| Err(too_slow(limit.as_secs() / 60)))?;
    let layout = room.path.join("image");
    capture(shop.buildah.push(&tag, &layout), &shop.buildah).await?;
    let name = format!("{}:{}", job.app.app, short(&job.commit));
    shop.images.import(layout, name).await.map_err(BuildError::Machine)
}

/// A commit's name as people write it.
pub(crate) fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

fn too_slow(minutes: u64) -> BuildError {
    let text = format!("the build took longer than {minutes} minutes and was ended");
    BuildError::Commit(Reason::new(text).with_hint("do less in one build, or raise the limit"))
}

fn no_place(error: &std::io::Error) -> BuildError {
    BuildError::Machine(Reason::new(format!("cannot make room for the build: {error}")))
}

fn read_dockerfile(files: &Path, commit: &str) -> Result<String, BuildError> {
    let path = files.join("Dockerfile");
    // A link could lead out of the commit's files: only a plain file is a Dockerfile.
    let is_file = std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file() && meta.len() <= 1 << 20);
    let text = if is_file { std::fs::read_to_string(&path).ok() } else { None };
    text.ok_or_else(|| {
        let text = format!("there is no Dockerfile at the top of commit {}", short(commit));
        BuildError::Commit(
            Reason::new(text).with_hint("add one that says how the image is made, commit, push again"),
        )
    })
}

/// The build's own directory; goes when the build is over, however it ends.
struct Room {
    path: PathBuf,
}

impl Room {
    fn make(path: &Path) -> Result<Self, BuildError> {
        std::fs::create_dir_all(path).map_err(|error| no_place(&error))?;
        Ok(Self { path: path.to_owned() })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a build's directory stays until the next start");
        }
    }
}

/// The same command inside a network namespace.
fn within(namespace: &Path, line: Vec<OsString>) -> Vec<OsString> {
    let mut net = OsString::from("--net=");
    net.push(namespace);
    let mut all: Vec<OsString> = vec!["nsenter".into(), net];
    all.extend(line);
    all
}

fn command(line: Vec<OsString>, buildah: &Buildah) -> Command {
    let mut words = buildah.enclose(line).into_iter();
    let mut command = Command::new(words.next().unwrap_or_default());
    command
        .args(words)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into()))
        .env("HOME", buildah.storage())
        .env("TMPDIR", buildah.storage())
        .env("CONTAINERS_STORAGE_CONF", buildah.storage_settings())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

fn not_started(error: &std::io::Error) -> BuildError {
    let reason = Reason::new(format!("cannot run buildah: {error}"));
    BuildError::Machine(reason.with_hint("install the Debian packages buildah and runc"))
}

/// Runs a command whose output is for the pusher.
async fn stream(line: Vec<OsString>, buildah: &Buildah, lines: &Lines) -> Result<(), BuildError> {
    let mut child = Group(command(line, buildah).spawn().map_err(|error| not_started(&error))?);
    let (out, err) = (child.0.stdout.take(), child.0.stderr.take());
    tokio::join!(pass_on(out, lines), pass_on(err, lines));
    let ended = child.0.wait().await.map_err(|error| not_started(&error))?;
    if ended.success() {
        return Ok(());
    }
    let text = format!("the image could not be built: buildah ended with {ended}; its last lines say why");
    Err(BuildError::Commit(Reason::new(text).with_hint("mend the Dockerfile, commit, push again")))
}

async fn pass_on(from: Option<impl AsyncRead + Unpin>, lines: &Lines) {
    let Some(from) = from else { return };
    let mut reader = BufReader::new(from);
    loop {
        let mut line = Vec::new();
        let read = (&mut reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).await;
        if !matches!(read, Ok(count) if count > 0) {
            return;
        }
        let text = String::from_utf8_lossy(&line);
        lines.say(text.trim_end().chars().filter(|c| !c.is_control() || *c == '\t').collect()).await;
    }
}

/// Runs a command whose output is for us.
pub(crate) async fn capture(line: Vec<OsString>, buildah: &Buildah) -> Result<String, BuildError> {
    let verb = line.iter().rev().find_map(|word| word.to_str().filter(|word| !word.starts_with(['-', '/'])));
    let verb = verb.unwrap_or("command").to_owned();
    let mut child = Group(command(line, buildah).spawn().map_err(|error| not_started(&error))?);
    let (out, err) = (child.0.stdout.take(), child.0.stderr.take());
    let (printed, said) = tokio::join!(read_bounded(out), read_bounded(err));
    let ended = child.0.wait().await.map_err(|error| not_started(&error))?;
    if ended.success() {
        return Ok(printed);
    }
    let last = said.lines().last().unwrap_or_default().to_owned();
    Err(BuildError::Machine(Reason::new(format!("buildah failed at {verb}: {last}"))))
}

async fn read_bounded(from: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        // What cannot be read is not told; the exit code decides.
        let _ = (&mut from).take(MAX_CAPTURE_BYTES).read_to_end(&mut bytes).await;
        let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A child with all its children, ended together when nobody waits for it any more.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let Some(pid) = self.0.id().and_then(|pid| i32::try_from(pid).ok()) else { return };
        let group = nix::unistd::Pid::from_raw(pid);
        // It may have ended by itself in this very moment.
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
    }
}
