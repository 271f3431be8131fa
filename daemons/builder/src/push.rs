//! The way of a push: checked, queued, built, released; the pusher sees each step.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_util::StreamExt;
use kogge_model::name::AppId;
use kogge_model::reason::Reason;
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc};

use crate::build::run::{Workshop, short};
use crate::build::source::Origin;
use crate::build::{BuildError, Job, Lines, build};
use crate::hook::{Answer, Ask, RefUpdate, Say};
use crate::ports::{Apps, News, Release};

/// Branches whose push is a release.
const RELEASE_BRANCHES: [&str; 2] = ["refs/heads/main", "refs/heads/master"];
/// Lines on their way to the pusher.
const LINES: usize = 256;

/// Everything pushes go through.
pub(crate) struct Pushes {
    pub(crate) shop: Workshop,
    pub(crate) apps: Arc<dyn Apps>,
    /// Builds that run at once.
    pub(crate) benches: Semaphore,
    /// One build an app at a time; whoever waits keeps the lock alive.
    pub(crate) turns: Mutex<BTreeMap<AppId, Weak<tokio::sync::Mutex<()>>>>,
}

/// What a push wants, as far as it is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    Release { commit: String },
    Refused(Reason),
}

impl Pushes {
    /// Serves one hook from its question to the answer.
    pub(crate) async fn serve(&self, stream: UnixStream) -> io::Result<()> {
        let (ask, mut answer) = Answer::read(stream).await?;
        let verdict = match wanted(&ask.updates) {
            Wanted::Refused(reason) => Err(reason),
            Wanted::Release { commit } => self.release(&ask, commit, &mut answer).await,
        };
        match verdict {
            Ok(()) => answer.say(Say::Accept).await,
            Err(reason) => {
                answer.say(Say::Line(String::new())).await?;
                answer.say(Say::Line(format!("error: {}", reason.text))).await?;
                if let Some(hint) = reason.hint {
                    answer.say(Say::Line(format!("hint: {hint}"))).await?;
                }
                answer.say(Say::Decline).await
            }
        }
    }

    async fn release(&self, ask: &Ask, commit: String, answer: &mut Answer) -> Result<(), Reason> {
        let app: AppId = ask.app.parse().map_err(|error| Reason::new(format!("{error}")))?;
        let (sender, mut receiver) = mpsc::channel(LINES);
        let lines = Lines(sender);
        let work = self.build_and_release(app, commit, ask, lines);
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                Some(line) = receiver.recv() => {
                    if answer.say(Say::Line(line)).await.is_err() {
                        return Err(Reason::new("the pusher has gone"));
                    }
                }
                result = &mut work => {
                    while let Ok(line) = receiver.try_recv() {
                        let _ = answer.say(Say::Line(line)).await;
                    }
                    return result;
                }
                () = answer.gone() => return Err(Reason::new("the pusher has gone")),
            }
        }
    }

    async fn build_and_release(
        &self,
        app: AppId,
        commit: String,
        ask: &Ask,
        lines: Lines,
    ) -> Result<(), Reason> {
        let turn = self.turn_of(&app);
        let _turn = match turn.try_lock() {
            Ok(turn) => turn,
            Err(_) => {
                lines.say(format!("=====> Waiting: another push of {app} is being built")).await;
                turn.lock().await
            }
        };
        let bench = match self.benches.try_acquire() {
            Ok(bench) => bench,
            Err(_) => {
                lines.say("=====> Waiting: other apps are being built".to_owned()).await;
                self.benches.acquire().await.map_err(|_| Reason::new("the builder is ending"))?
            }
        };
        lines.say(format!("=====> Building {app} from commit {}", short(&commit))).await;
        let origin = Origin { directory: ask.directory.clone(), git: ask.git.clone() };
        let job = Job { id: build_id(&commit), app: app.clone(), commit: commit.clone(), origin };
        let built = build(&self.shop, &job, &lines).await;
        drop(bench);
        let image = built.map_err(|error: BuildError| error.reason().clone())?;
        lines.say(format!("=====> Releasing {}", image.name)).await;
        // What git's own server makes of the caller (git-http-backend(1)).
        let pusher = ask.git.get("GIT_COMMITTER_NAME").cloned().unwrap_or_default();
        self.roll_out(Release { app, image, commit, pusher }, &lines).await
    }

    async fn roll_out(&self, release: Release, lines: &Lines) -> Result<(), Reason> {
        let app = release.app.clone();
        let mut news = self.apps.release(release);
        while let Some(news) = news.next().await {
            match news {
                News::Line(line) => lines.say(format!("       {line}")).await,
                News::Live { url: Some(url) } => {
                    lines.say(format!("=====> {app} is live at {url}")).await;
                    return Ok(());
                }
                News::Live { url: None } => {
                    lines.say(format!("=====> {app} is live")).await;
                    return Ok(());
                }
                News::Failed(reason) => return Err(reason),
            }
        }
        Err(Reason::new("the cloud is shutting down: the outcome of the release is not known"))
    }

    fn turn_of(&self, app: &AppId) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(app).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(tokio::sync::Mutex::new(()));
        turns.insert(app.clone(), Arc::downgrade(&turn));
        turn
    }
}

/// A name for the build's directory, network and tag: never used twice.
fn build_id(commit: &str) -> String {
    format!("{}-{:x}", short(commit), kogge_host::clock::now().as_micros())
}

/// Each kind of push that is no release gets its own sentence.
fn wanted(updates: &[RefUpdate]) -> Wanted {
    let refuse = |text: String, hint: &str| Wanted::Refused(Reason::new(text).with_hint(hint));
    let [update] = updates else {
        let text = format!("this push changes {} refs: a release is a push of one branch", updates.len());
        return refuse(text, "push one branch: git push kogge main");
    };
    if !RELEASE_BRANCHES.contains(&update.name.as_str()) {
        let name = update.name.trim_start_matches("refs/heads/").trim_start_matches("refs/");
        let text = format!("{name} is not released: only pushes of main or master are");
        return refuse(text, &format!("push it as main: git push kogge {name}:main"));
    }
    if update.is_delete() {
        return refuse(
            "the released branch cannot be deleted".to_owned(),
            "end the app with `kogge destroy`",
        );
    }
    Wanted::Release { commit: update.new.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(name: &str, new: &str) -> RefUpdate {
        RefUpdate { old: "0".repeat(40), new: new.repeat(40), name: name.to_owned() }
    }

    fn refusal(updates: &[RefUpdate]) -> String {
        match wanted(updates) {
            Wanted::Refused(reason) => reason.text,
            Wanted::Release { commit } => format!("release of {commit}"),
        }
    }

    #[test]
    fn main_and_master_are_released() {
        for branch in RELEASE_BRANCHES {
            assert_eq!(wanted(&[update(branch, "a")]), Wanted::Release { commit: "a".repeat(40) });
        }
    }

    #[test]
    fn each_other_push_has_its_own_sentence() {
        let topic = update("refs/heads/topic", "a");
        let main = update("refs/heads/main", "a");
        assert_eq!(
            refusal(std::slice::from_ref(&topic)),
            "topic is not released: only pushes of main or master are"
        );
        assert_eq!(
            refusal(&[update("refs/tags/v1", "a")]),
            "tags/v1 is not released: only pushes of main or master are"
        );
        assert_eq!(refusal(&[main, topic]), "this push changes 2 refs: a release is a push of one branch");
        assert_eq!(refusal(&[update("refs/heads/main", "0")]), "the released branch cannot be deleted");
    }
}
