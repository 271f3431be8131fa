//! Lines that tasks wrote.

use serde::{Deserialize, Serialize};

use super::moment::Moment;

/// Which lines are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogQuery {
    /// An app, a service or an instance; everything when left out.
    pub of: Option<String>,
    /// Only lines from then on.
    pub since: Option<Moment>,
    /// Only the last so many lines of what is there.
    pub tail: Option<u32>,
    /// Whether to go on with lines as they are written.
    pub follow: bool,
}

/// One line, or a place where lines are missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogLineView {
    /// When it was read from the task.
    pub at: Moment,
    /// The service, told short.
    pub service: String,
    /// The instance: `hello.1`.
    pub instance: String,
    /// The task.
    pub task: String,
    /// Where it was written.
    pub stream: LogSource,
    /// Its text without newline; bytes that are not UTF-8 are replaced. For a gap, a sentence.
    pub text: String,
    /// Whether the line goes on in the stream's next record.
    #[serde(default)]
    pub is_partial: bool,
    /// Records missing here; only with `gap`.
    #[serde(default)]
    pub lost_records: u64,
    /// Bytes of their text.
    #[serde(default)]
    pub lost_bytes: u64,
}

/// Where a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum LogSource {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Nowhere: lines are missing here.
    Gap,
}
