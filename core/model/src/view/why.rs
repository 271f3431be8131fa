//! Why something is as it is.

use serde::{Deserialize, Serialize};

use super::moment::Moment;
use crate::decision::Decision;

/// Answer to `kogge why`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WhyView {
    /// What was asked about, told short.
    pub subject: String,
    /// How things stand, a sentence each, the most important first.
    pub sentences: Vec<String>,
    /// What to do next, often commands.
    pub hints: Vec<String>,
    /// What was decided, the newest first.
    pub history: Vec<DecisionView>,
}

/// One decision with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DecisionView {
    /// When it was taken.
    pub at: Moment,
    /// The service it is about.
    pub service: Option<String>,
    /// The instance it is about: `hello.1`.
    pub instance: Option<String>,
    /// The task it is about.
    pub task: Option<String>,
    /// What was decided: `placed`, `restart`, `kill`, ….
    pub verb: String,
    /// Why.
    pub reason: String,
    /// What one can do about it.
    pub hint: Option<String>,
}

impl From<&Decision> for DecisionView {
    fn from(decision: &Decision) -> Self {
        let service = decision.service.as_ref();
        let number = decision.instance;
        Self {
            at: decision.at.into(),
            service: service.map(ToString::to_string),
            instance: service.zip(number).map(|(service, number)| format!("{service}.{number}")),
            task: decision.task.as_ref().map(ToString::to_string),
            verb: decision.verb.clone(),
            reason: decision.reason.text.clone(),
            hint: decision.reason.hint.clone(),
        }
    }
}
