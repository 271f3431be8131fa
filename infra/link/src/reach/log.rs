//! Lines of tasks on their way to a server.

use bytes::Bytes;
use kogge_model::id::TaskId;
use kogge_model::log_record::{LogCount, LogStream};
use kogge_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::bounds::CHUNK_BYTES;

/// Which lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LogWish {
    /// Only lines from then on.
    pub since: Option<Timestamp>,
    /// Only the last so many of what is there, of all tasks together.
    pub tail: Option<u32>,
    /// Whether to go on with lines as they are written.
    pub follow: bool,
}

/// One thing in a task's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Whose.
    pub task: TaskId,
    /// When it was read from the task, or when a gap ended.
    pub at: Timestamp,
    /// What.
    pub content: LogContent,
}

/// A line or the lack of some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogContent {
    /// A line, or a piece of one.
    Line {
        /// Where the task wrote it.
        stream: LogStream,
        /// Whether the line goes on in the stream's next entry.
        #[serde(default)]
        is_partial: bool,
        /// Without a newline.
        text: String,
    },
    /// Something is missing here.
    Gap {
        /// Exactly how much.
        lost: LogCount,
    },
}

/// Batches of entries in order of time. When it is full, whoever reads the log waits.
pub type LogBatches = mpsc::Receiver<Vec<LogEntry>>;

/// As pieces of a bounded size, one JSON document a line.
pub(crate) fn encode_batch(batch: &[LogEntry]) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut piece = Vec::new();
    for entry in batch {
        serde_json::to_writer(&mut piece, entry).expect("an entry is plain data and memory takes all");
        piece.push(b'\n');
        if piece.len() >= CHUNK_BYTES {
            pieces.push(std::mem::take(&mut piece).into());
        }
    }
    if !piece.is_empty() {
        pieces.push(piece.into());
    }
    pieces
}

/// The entries of one piece.
pub(crate) fn decode_batch(piece: &[u8]) -> Result<Vec<LogEntry>, serde_json::Error> {
    piece.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(serde_json::from_slice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_batch_travels_in_bounded_pieces_and_loses_nothing() {
        let line = |at| LogEntry {
            task: TaskId::new("t"),
            at: Timestamp::from_secs(at),
            content: LogContent::Line {
                stream: LogStream::Stdout,
                is_partial: false,
                text: "x\n".repeat(5_000),
            },
        };
        let gap = LogEntry {
            task: TaskId::new("t"),
            at: Timestamp::ZERO,
            content: LogContent::Gap { lost: LogCount { records: 2, bytes: 9 } },
        };
        let batch: Vec<LogEntry> = (0..20).map(line).chain([gap]).collect();
        let pieces = encode_batch(&batch);
        assert!(pieces.len() > 2 && pieces.iter().all(|piece| piece.len() < 2 * CHUNK_BYTES));
        let back: Vec<LogEntry> = pieces.iter().flat_map(|piece| decode_batch(piece).unwrap()).collect();
        assert_eq!(back, batch);
        assert!(encode_batch(&[]).is_empty());
    }
}
