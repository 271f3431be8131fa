//! Watches: a stream of their own from etcd, taken up again on another member where it was lost.
//!
//! A watch is on all keys of the cloud, also when it tells only some: so it knows how far the store is. It asks for the
//! batch before the first one wanted, as etcd's history is whole only after that (see [`super::history`]).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use kogge_host::backoff::Backoff;
use tokio::time::{sleep, timeout};
use tonic::Streaming;

use crate::{Change, Key, ReadError, Revision, Watch};

use super::batches::Batches;
use super::history::History;
use super::keyspace::Keyspace;
use super::line::Line;
use super::link::{Effort, Link};
use super::read::{self, unavailable};
use super::tries::jittered;
use super::wire::watch_request::RequestUnion;
use super::wire::{self, WatchCreateRequest, WatchRequest, WatchResponse};

const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How long etcd may take to say that it follows.
const OPEN_TIMEOUT: Duration = Duration::from_secs(3);

/// Everything under `prefix` from revision `from` on.
pub(super) fn follow(
    link: Arc<Link>,
    history: Arc<History>,
    keys: Keyspace,
    prefix: Key,
    from: Revision,
) -> Watch {
    let batches = Batches::new(keys.clone(), prefix, from.max(Revision::new(1)));
    let follower = Follower {
        link,
        history,
        keys,
        batches,
        feed: None,
        found: VecDeque::new(),
        is_over: false,
        wait: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
    };
    Watch::new(stream::unfold(follower, |mut follower| async move {
        let change = follower.step().await?;
        Some((change, follower))
    }))
}

struct Follower {
    link: Arc<Link>,
    history: Arc<History>,
    keys: Keyspace,
    batches: Batches,
    feed: Option<Feed>,
    /// Made known by one answer, not yet told.
    found: VecDeque<Change>,
    is_over: bool,
    wait: Backoff,
}

impl Follower {
    async fn step(&mut self) -> Option<Change> {
        let token = self.link.tasks.token();
        loop {
            if let Some(change) = self.found.pop_front() {
                return Some(change);
            }
            if self.is_over || token.is_cancelled() {
                return None;
            }
            tokio::select! {
                () = token.cancelled() => return None,
                () = self.advance() => {}
            }
        }
    }

    /// One answer further, or one attempt to get a stream.
    async fn advance(&mut self) {
        let lost = match &mut self.feed {
            None => match self.open().await {
                Ok(feed) => {
                    self.feed = feed;
                    return;
                }
                Err(reason) => reason,
            },
            Some(feed) => match feed.next(&self.link).await {
                Ok(Answer::Events(answer)) => {
                    self.wait.reset();
                    return self.batches.take(answer, &mut self.found);
                }
                Ok(Answer::Compacted(at)) => {
                    let oldest = self.history.compacted_at(at);
                    return self.end(oldest);
                }
                Err(reason) => reason,
            },
        };
        let next = self.batches.next();
        tracing::debug!(reason = %lost, %next, "watch of etcd lost its stream");
        self.feed = None;
        self.batches.forget_open();
        sleep(jittered(self.wait.wait())).await;
    }

    /// A stream from where the last one ended; none if the watch is over.
    async fn open(&mut self) -> Result<Option<Feed>, String> {
        let head = read::head(&self.link, &self.keys).await.map_err(|error| error.to_string())?;
        if self.batches.next() > head.next() {
            // The reader has seen a past that this etcd does not have.
            let oldest =
                self.history.oldest(&self.link, &self.keys).await.map_err(|error| error.to_string())?;
            self.end(oldest);
            return Ok(None);
        }
        let line = self.link.own_line().await.map_err(|unreached| unreached.reason)?;
        // One before the first wanted; etcd takes 0 for "from now on".
        let start = (wire::number(self.batches.next()) - 1).max(1);
        let (key, range_end) = (self.keys.outer(b""), self.keys.end(b""));
        let feed = timeout(OPEN_TIMEOUT, Feed::open(&self.link, line, key, range_end, start)).await;
        feed.unwrap_or_else(|_| Err("no answer in time".to_owned())).map(Some)
    }

    fn end(&mut self, oldest: Revision) {
        self.feed = None;
        self.is_over = true;
        self.found.push_back(Change::Compacted { oldest });
    }
}

/// A stream of answers to one watch.
pub(super) struct Feed {
    answers: Streaming<WatchResponse>,
    /// Keeps the connection.
    line: Line,
}

/// What a watch is answered.
pub(super) enum Answer {
    /// Something happened, or surely nothing.
    Events(WatchResponse),
    /// What was asked for is gone, up to and including this revision.
    Compacted(Revision),
}

impl Feed {
    /// Asks for the keys from `key` to before `range_end`, or for `key` alone if that is empty, and waits until etcd
    /// follows.
    pub(super) async fn open(
        link: &Link,
        line: Line,
        key: bytes::Bytes,
        range_end: bytes::Bytes,
        start_revision: i64,
    ) -> Result<Self, String> {
        let create =
            WatchCreateRequest { key, range_end, start_revision, progress_notify: true, fragment: true };
        let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        // The asking side stays open: etcd would end the watch with it.
        let asks = futures_util::StreamExt::chain(stream::iter([create]), stream::pending());
        let answers = match line.watch().watch(line.request(asks)).await {
            Ok(answers) => answers.into_inner(),
            Err(status) => return Err(link.renew_if_unknown(&line, &status).await),
        };
        let mut feed = Self { answers, line };
        match feed.answers.message().await {
            Ok(Some(answer)) if answer.created && !answer.canceled => Ok(feed),
            Ok(Some(answer)) => {
                // It says so in the answer, without a status of its own.
                let status = match answer.cancel_reason {
                    reason if reason.contains("permission denied") => {
                        tonic::Status::permission_denied(reason)
                    }
                    reason => tonic::Status::unauthenticated(reason),
                };
                Err(link.renew_if_unknown(&feed.line, &status).await)
            }
            Ok(None) => Err("etcd ended the stream".to_owned()),
            Err(status) => Err(link.renew_if_unknown(&feed.line, &status).await),
        }
    }

    /// The next answer.
    pub(super) async fn next(&mut self, link: &Link) -> Result<Answer, String> {
        match self.answers.message().await {
            Ok(Some(answer)) if answer.compact_revision > 0 => {
                Ok(Answer::Compacted(wire::revision(answer.compact_revision)))
            }
            Ok(Some(answer)) if answer.canceled => {
                Err(format!("etcd ended the watch: {}", answer.cancel_reason))
            }
            Ok(Some(answer)) => Ok(Answer::Events(answer)),
            Ok(None) => Err("etcd ended the stream".to_owned()),
            Err(status) => Err(link.renew_if_unknown(&self.line, &status).await),
        }
    }

    /// The last compaction, told to a watch from `from`, which is known to be too early; none if it was not.
    pub(super) async fn compaction(
        link: &Link,
        keys: &Keyspace,
        from: Revision,
    ) -> Result<Option<Revision>, ReadError> {
        let deadline = link.config.request_deadline;
        let answer = link
            .call(Effort::Repeat, |_| async {
                let line = link
                    .own_line()
                    .await
                    .map_err(|unreached| tonic::Status::unavailable(unreached.reason))?;
                let key = keys.outer(b"\0");
                let mut feed = Self::open(link, line, key, bytes::Bytes::new(), wire::number(from))
                    .await
                    .map_err(tonic::Status::unavailable)?;
                match timeout(deadline / 4, feed.next(link)).await {
                    Ok(Ok(Answer::Compacted(at))) => Ok(Some(at)),
                    Ok(Err(reason)) => Err(tonic::Status::unavailable(reason)),
                    Ok(Ok(Answer::Events(_))) | Err(_) => Ok(None),
                }
            })
            .await;
        answer.map_err(unavailable)
    }
}
