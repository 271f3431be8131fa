//! What happens, as it happens.

use serde::{Deserialize, Serialize};

use super::moment::Moment;

/// One event of the stream `/api/v1/events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventView {
    /// Counts the events of this process from 1; a gap means some were lost to a slow reader.
    pub sequence: u64,
    /// When it happened.
    pub at: Moment,
    /// What kind of thing happened; also the name of the server-sent event.
    pub kind: EventKind,
    /// The service or app it is about, told short.
    pub service: Option<String>,
    /// The instance it is about.
    pub instance: Option<String>,
    /// The task it is about.
    pub task: Option<String>,
    /// Its newest state in a word: of a task, a deployment, a build.
    pub state: Option<String>,
    /// What happened, a sentence.
    pub text: String,
}

/// Kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum EventKind {
    /// The tree was changed.
    Revision,
    /// A deployment began, moved on or ended.
    Deployment,
    /// A task changed its state or health.
    Task,
    /// Something was decided.
    Decision,
    /// An image came or went.
    Image,
    /// A build began, moved on or ended.
    Build,
    /// An agent came or went.
    Agent,
    /// The cloud is ending.
    Shutdown,
    /// Events were lost because the reader was too slow: read what it shows again.
    Lagged,
}

impl EventKind {
    /// Its word, as it stands in JSON and as the server-sent event's name.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Revision => "revision",
            Self::Deployment => "deployment",
            Self::Task => "task",
            Self::Decision => "decision",
            Self::Image => "image",
            Self::Build => "build",
            Self::Agent => "agent",
            Self::Shutdown => "shutdown",
            Self::Lagged => "lagged",
        }
    }
}
