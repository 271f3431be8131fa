//! Saying again what was not answered, sparingly.
//!
//! Control hears the words of an agent in their order. What is not answered waits there, mostly, while it has much to do;
//! of all agents' words the same ones again would make that more. So one update is said again at a time, the one that was
//! said last: its answer tells that whatever was said before it has been heard, and what is still not answered then was
//! lost and is said again.

use std::time::Duration;

use kogge_model::link::ToControl;
use kogge_model::time::Timestamp;

use crate::chance::Jitter;
use crate::config::NodeConfig;
use crate::effect::{Effect, Effects};
use crate::node::Node;
use crate::state::{Resend, Task};

/// What was sent to control, and how far it has answered. Sendings are counted from 1.
#[derive(Debug, Clone, Default)]
pub(crate) struct Repeats {
    /// The number of the last sending.
    sent: u64,
    /// Everything up to this sending has been heard, or was lost.
    heard: u64,
    /// When the next update may be said again without a sign that it was lost.
    due: Timestamp,
    wait: Duration,
}

impl Resend {
    /// The first sending is due at `now`.
    pub(crate) const fn at(now: Timestamp) -> Self {
        Self { due: now, wait: Duration::ZERO, first: 0, last: 0 }
    }
}

impl Repeats {
    /// Whether it goes out as soon as it is due: it never did, or was lost.
    const fn is_free(&self, resend: Resend) -> bool {
        resend.last == 0 || resend.last < self.heard
    }

    fn send(&mut self, now: Timestamp, resend: &mut Resend, (config, jitter): (&NodeConfig, &mut Jitter)) {
        self.sent += 1;
        resend.first = if resend.first == 0 { self.sent } else { resend.first };
        resend.last = self.sent;
        resend.wait = longer(resend.wait, config);
        resend.due = now.plus(jitter.shorten(resend.wait));
    }
}

fn longer(wait: Duration, config: &NodeConfig) -> Duration {
    (wait * 2).clamp(config.resend_first, config.update_resend_max)
}

impl Node {
    /// Everything that is not acknowledged goes out now: whoever listens now may have heard nothing of it.
    pub(crate) fn resend_all(&mut self, now: Timestamp) {
        for task in self.tasks.values_mut() {
            task.resend = Resend::at(now);
        }
        (self.repeats.due, self.repeats.wait) = (now, Duration::ZERO);
    }

    /// An update was acknowledged that was sent so.
    pub(crate) fn has_answered(&mut self, now: Timestamp, answered: Resend) {
        let soon = now.plus(self.config.resend_first);
        let before = self.repeats.heard;
        self.repeats.heard = before.max(answered.first);
        (self.repeats.due, self.repeats.wait) = (self.repeats.due.min(soon), Duration::ZERO);
        for task in self.tasks.values_mut().filter(|task| !task.is_acknowledged && task.resend.last > 0) {
            if (before..self.repeats.heard).contains(&task.resend.last) {
                // Its answer may be on the way, too.
                task.resend.due = soon;
            }
        }
    }

    /// Sends what is due.
    pub(crate) fn resend(&mut self, now: Timestamp, effects: &mut Effects) {
        if !self.link.is_registered() {
            return;
        }
        let Self { tasks, repeats, chance, config, .. } = self;
        let mut say = |task: &mut Task, repeats: &mut Repeats| {
            repeats.send(now, &mut task.resend, (config, &mut chance.sends));
            effects.push(Effect::Send(ToControl::Status(task.status(&config.info.agent))));
        };
        let mut newest: Option<&mut Task> = None;
        for task in tasks.values_mut().filter(|task| !task.is_acknowledged && task.resend.due <= now) {
            if repeats.is_free(task.resend) {
                say(task, repeats);
            } else if newest.as_ref().is_none_or(|newest| newest.resend.first < task.resend.first) {
                newest = Some(task);
            }
        }
        if let Some(task) = newest.filter(|_| repeats.due <= now) {
            say(task, repeats);
            repeats.wait = longer(repeats.wait, config);
            repeats.due = now.plus(chance.sends.shorten(repeats.wait));
        }
    }

    pub(crate) fn send_due(&self, task: &Task) -> Option<Timestamp> {
        let is_free = self.repeats.is_free(task.resend);
        let due = if is_free { task.resend.due } else { task.resend.due.max(self.repeats.due) };
        (self.link.is_registered() && !task.is_acknowledged).then_some(due)
    }
}
