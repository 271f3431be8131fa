//! Logs that go on: lines of the tasks there are, and of those that come.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::stream::{self, SelectAll, StreamExt};
use kogge_model::id::TaskId;
use kogge_model::view::LogLineView;
use tokio::sync::watch;

use crate::handle::Handle;
use crate::ports::{Flow, LogSubject, LogWish};
use crate::refusal::Refusal;

/// How often it is looked for new tasks at most; many things change at once in a deployment.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(200);

/// A running follow.
struct Follow {
    handle: Handle,
    of: Option<String>,
    lines: SelectAll<Flow<LogLineView>>,
    known: BTreeSet<TaskId>,
    changed: watch::Receiver<u64>,
}

/// `first` are the lines of `subjects`; tasks of `of` that come later join in.
pub(crate) fn follow(
    handle: Handle,
    of: Option<String>,
    subjects: &[LogSubject],
    first: Flow<LogLineView>,
) -> Flow<LogLineView> {
    let known = subjects.iter().map(|subject| subject.task.clone()).collect();
    let changed = handle.inner.changed.clone();
    let mut lines = SelectAll::new();
    lines.push(first);
    let follow = Follow { handle, of, lines, known, changed };
    Box::pin(stream::unfold(follow, |mut follow| async move {
        let line = follow.next().await?;
        Some((line, follow))
    }))
}

impl Follow {
    async fn next(&mut self) -> Option<LogLineView> {
        loop {
            tokio::select! {
                biased;
                Some(line) = self.lines.next() => return Some(line),
                changed = self.changed.changed() => {
                    changed.ok()?;
                    self.join_new().await.ok()?;
                }
            }
        }
    }

    async fn join_new(&mut self) -> Result<(), Refusal> {
        tokio::time::sleep(LOOK_AT_MOST_EVERY).await;
        self.changed.mark_unchanged();
        let of = self.of.clone();
        let subjects = self.handle.look(move |cloud, _| cloud.log_subjects(of.as_deref())).await?;
        let new: Vec<LogSubject> =
            subjects.into_iter().filter(|one| !self.known.contains(&one.task)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let tasks: Vec<TaskId> = new.iter().map(|subject| subject.task.clone()).collect();
        let wish = LogWish { since: None, tail: None, follow: true };
        // A task that has no log yet is looked for again at the next change.
        if let Ok(flow) = self.handle.inner.tasks.logs(new, wish).await {
            self.lines.push(flow);
            self.known.extend(tasks);
        }
        Ok(())
    }
}
