//! From etcd's watch answers to whole batches.
//!
//! Events come in order, all of one revision together, but an answer may hold many revisions, and a large one comes in
//! fragments that can part anywhere. A batch is whole when an event of a later revision follows, or the last fragment
//! is there.

use crate::{Batch, Change, Event, Key, Revision};

use super::keyspace::Keyspace;
use super::wire::{self, WatchResponse};

/// Joins events to batches, keeps what is under a prefix, and tells how far it is.
#[derive(Debug)]
pub(super) struct Batches {
    keys: Keyspace,
    prefix: Key,
    /// The first revision not told yet.
    next: Revision,
    /// Of one revision; more of it may follow.
    open: Option<Batch>,
    /// The last whole batch had nothing under the prefix.
    silent: Option<Revision>,
}

impl Batches {
    pub(super) const fn new(keys: Keyspace, prefix: Key, next: Revision) -> Self {
        Self { keys, prefix, next, open: None, silent: None }
    }

    /// The first revision not told yet: where to go on on another connection.
    pub(super) const fn next(&self) -> Revision {
        self.next
    }

    /// The stream was lost: what was not whole comes again.
    pub(super) fn forget_open(&mut self) {
        self.open = None;
    }

    /// What an answer makes known.
    pub(super) fn take(&mut self, answer: WatchResponse, told: &mut impl Extend<Change>) {
        let has_events = !answer.events.is_empty();
        for event in answer.events {
            let (kind, Some(found)) = (event.r#type(), event.kv) else { continue };
            let revision = wire::revision(found.mod_revision);
            if revision < self.next {
                // Asked for only to know that nothing is missing after it.
                continue;
            }
            if self.open.as_ref().is_some_and(|open| open.revision != revision) {
                self.close(told);
            }
            let open = self.open.get_or_insert(Batch { revision, events: Vec::new() });
            let event = self.keys.event(kind, found);
            open.events.extend(event.filter(|event: &Event| event.key().starts_with(&self.prefix)));
        }
        if answer.fragment {
            return;
        }
        self.close(told);
        let head = wire::revision_of(answer.header.as_ref());
        if !has_events && head >= self.next {
            // etcd's own word on how far it is. With events, the number may be ahead of what was sent.
            self.next = head.next();
            self.silent = Some(head);
        }
        told.extend(self.silent.take().map(Change::Progress));
    }

    /// The open batch is whole.
    fn close(&mut self, told: &mut impl Extend<Change>) {
        let Some(batch) = self.open.take() else { return };
        self.next = batch.revision.next();
        if batch.events.is_empty() {
            self.silent = Some(batch.revision);
        } else {
            self.silent = None;
            told.extend([Change::Batch(batch)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::{KeyValue, ResponseHeader};
    use super::*;

    fn answer(events: &[(i64, &str)], fragment: bool) -> WatchResponse {
        let event = |&(revision, key): &(i64, &str)| wire::Event {
            r#type: 0,
            kv: Some(KeyValue {
                key: format!("/cloud:{key}").into(),
                mod_revision: revision,
                ..KeyValue::default()
            }),
        };
        WatchResponse { events: events.iter().map(event).collect(), fragment, ..WatchResponse::default() }
    }

    fn silence(revision: i64) -> WatchResponse {
        let header = Some(ResponseHeader { revision, ..ResponseHeader::default() });
        WatchResponse { header, ..WatchResponse::default() }
    }

    /// What a watch of `a/` from revision 10 tells, as text.
    fn told(answers: Vec<WatchResponse>) -> String {
        let mut batches = Batches::new(Keyspace::new("cloud"), "a/".into(), Revision::new(10));
        let mut told = Vec::new();
        for answer in answers {
            batches.take(answer, &mut told);
        }
        let text = told.iter().map(|change| match change {
            Change::Batch(batch) => {
                let keys: Vec<String> = batch.events.iter().map(|event| event.key().to_string()).collect();
                format!("{}:{}", batch.revision, keys.join("+"))
            }
            Change::Progress(revision) => format!("{revision}"),
            Change::Compacted { .. } => unreachable!("nothing is compacted here"),
        });
        text.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn batches_are_told_whole_however_they_are_fragmented() {
        let whole = answer(&[(10, "a/1"), (10, "a/2"), (11, "a/1"), (12, "a/3")], false);
        assert_eq!(told(vec![whole]), "10:a/1+a/2 11:a/1 12:a/3");
        let parted = vec![
            answer(&[(10, "a/1")], true),
            answer(&[(10, "a/2"), (11, "a/1")], true),
            answer(&[(12, "a/3")], false),
        ];
        assert_eq!(told(parted), "10:a/1+a/2 11:a/1 12:a/3");
        assert_eq!(told(vec![answer(&[(10, "a/1")], true)]), "", "more of it may follow");
    }

    #[test]
    fn what_is_beside_the_prefix_is_progress_only() {
        assert_eq!(
            told(vec![answer(&[(10, "b"), (11, "a/1"), (11, "b"), (12, "b"), (13, "b")], false)]),
            "11:a/1 13"
        );
        assert_eq!(told(vec![answer(&[(12, "b"), (13, "a/1")], false)]), "13:a/1");
    }

    #[test]
    fn what_was_told_is_not_told_again() {
        assert_eq!(
            told(vec![answer(&[(9, "a/1"), (10, "a/1")], false), answer(&[(10, "a/1")], false)]),
            "10:a/1"
        );
        assert_eq!(
            told(vec![silence(9), silence(12), silence(12), answer(&[(13, "a/1")], false)]),
            "12 13:a/1"
        );
    }
}
