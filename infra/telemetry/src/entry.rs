//! What a reader of a log gets.

use kogge_model::log_record::{LogCount, LogStream};
use kogge_model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// One thing in a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LogEntry {
    /// A line, or a piece of one.
    Line {
        /// When it was read from the task.
        at: Timestamp,
        /// Where the task wrote it.
        stream: LogStream,
        /// Whether the line goes on in the stream's next entry.
        is_partial: bool,
        /// Without a newline; what is not UTF-8 is replaced.
        text: String,
    },
    /// Something is missing here: removed with an old segment, or never written because the disk was in trouble.
    Gap {
        /// When it ended.
        at: Timestamp,
        /// Exactly how much.
        lost: LogCount,
    },
}

impl LogEntry {
    /// When it happened.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::Line { at, .. } | Self::Gap { at, .. } => *at,
        }
    }
}
