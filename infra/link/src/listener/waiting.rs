//! What one agent has said and control has no room for yet.
//!
//! Words are read while they wait: what stays unread in the connection takes more room there, and is not given back. So
//! signs of life and repeats, of which there are most when control is behind, are told apart from what is news.

use std::collections::VecDeque;

use kogge_model::link::{FromAgent, ToControl};

use crate::bounds::MAX_WAITING;

/// Words in the order in which they were said.
#[derive(Debug, Default)]
pub(super) struct Waiting(VecDeque<FromAgent>);

impl Waiting {
    /// Takes a word in, unless those that wait say as much: any word is a sign of life, and one that was said waits to be
    /// answered.
    pub(super) fn push(&mut self, word: FromAgent) {
        if word.body == ToControl::Heartbeat && !self.0.is_empty() || self.0.contains(&word) {
            return;
        }
        if self.0.back().is_some_and(|last| last.body == ToControl::Heartbeat) {
            self.0.pop_back();
        }
        self.0.push_back(word);
    }

    /// The first one. Whoever has nothing to say takes no room.
    pub(super) fn pop(&mut self) -> Option<FromAgent> {
        let first = self.0.pop_front();
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
        first
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether more can be read. A registration may be long, and says everything.
    pub(super) fn has_room(&self) -> bool {
        let is_registering = self.0.iter().any(|word| matches!(word.body, ToControl::Register { .. }));
        self.0.len() < MAX_WAITING && !is_registering
    }
}

#[cfg(test)]
mod tests {
    use kogge_model::id::{AgentId, RunId, TaskId};

    use super::*;

    fn ask(ticket: u64) -> FromAgent {
        let body = ToControl::AskLease { task: TaskId::new("t"), run: RunId(1), ticket };
        FromAgent { agent: AgentId::new("a"), body }
    }

    fn alive() -> FromAgent {
        FromAgent { agent: AgentId::new("a"), body: ToControl::Heartbeat }
    }

    #[test]
    fn news_keep_their_order_and_what_adds_nothing_is_not_kept() {
        let mut waiting = Waiting::default();
        for word in [alive(), alive(), ask(1), alive(), ask(2), ask(1), alive()] {
            waiting.push(word);
        }
        assert_eq!(std::iter::from_fn(|| waiting.pop()).collect::<Vec<_>>(), [ask(1), ask(2)]);
        waiting.push(alive());
        assert_eq!(waiting.pop(), Some(alive()), "alone it is news");
        assert!(waiting.is_empty());
    }

    #[test]
    fn there_is_an_end_to_it() {
        let mut waiting = Waiting::default();
        let taken = (0..).take_while(|ticket| {
            let has_room = waiting.has_room();
            waiting.push(ask(*ticket));
            has_room
        });
        assert_eq!(taken.count(), MAX_WAITING);
    }
}
