//! The last things that happened, for the report of a failing seed.

use std::collections::VecDeque;

use kogge_model::time::Timestamp;

/// Lines that are kept.
const KEPT: usize = 20_000;

/// A bounded log.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    start: Timestamp,
    lines: VecDeque<String>,
}

impl Trace {
    pub(crate) const fn new(start: Timestamp) -> Self {
        Self { start, lines: VecDeque::new() }
    }

    pub(crate) fn note(&mut self, now: Timestamp, text: &std::fmt::Arguments<'_>) {
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        let since = now.saturating_since(self.start);
        self.lines.push_back(format!("{:>11.6} {text}", since.as_secs_f64()));
    }

    pub(crate) fn tail(&self, lines: usize) -> Vec<String> {
        self.lines.iter().skip(self.lines.len().saturating_sub(lines)).cloned().collect()
    }
}
