//! What `kogge state` tells.

use std::io::Write;

use kogge_cli::{Failure, Format};
use kogge_control::state::{Checked, Summary};
use serde_json::{Value, json};

/// What came of it.
pub(super) enum Answer {
    /// Nothing is wrong.
    Checked { engine: String, checked: Checked },
    /// The state went from one place to another.
    Done { what: Done, from: String, to: String, summary: Summary },
    /// It would go.
    Plan { from: String, to: String },
}

/// How it went.
#[derive(Debug, Clone, Copy)]
pub(super) enum Done {
    Saved,
    Restored,
    Copied,
}

impl Answer {
    pub(super) fn done(what: Done, from: &str, to: &str, summary: Summary) -> Self {
        Self::Done { what, from: from.to_owned(), to: to.to_owned(), summary }
    }

    /// Writes it to standard output.
    pub(super) fn tell(&self, format: Format) -> Result<(), Failure> {
        let text = match format {
            Format::Text => self.text(),
            Format::Json => format!("{:#}\n", self.json()),
        };
        let written = std::io::stdout().write_all(text.as_bytes());
        written.map_err(|error| Failure::new(format!("cannot write the answer: {error}")))
    }

    fn text(&self) -> String {
        match self {
            Self::Checked { engine, checked } => format!(
                "{engine}: nothing is wrong\ncluster {}, format {}, revision {} of the {} engine\n\
                 {} services, {} revisions of the tree, {} agents, {} tasks\n",
                checked.cluster,
                checked.format,
                checked.engine.revision,
                checked.engine.engine,
                checked.services,
                checked.revisions,
                checked.agents,
                checked.tasks
            ),
            Self::Done { what, from, to, summary } => {
                let verb = match what {
                    Done::Saved => "saved",
                    Done::Restored => "restored",
                    Done::Copied => "copied",
                };
                format!(
                    "{verb} {} records of {from} to {to}, as of revision {}\n",
                    summary.entries, summary.revision
                )
            }
            Self::Plan { from, to } => format!("would make {from} the state of {to}, which must be empty\n"),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Checked { engine, checked } => json!({
                "state": engine,
                "engine": checked.engine.engine,
                "cluster": checked.cluster.to_string(),
                "format": checked.format,
                "revision": checked.engine.revision.get(),
                "services": checked.services,
                "revisions": checked.revisions,
                "agents": checked.agents,
                "tasks": checked.tasks,
            }),
            Self::Done { from, to, summary, .. } => json!({
                "from": from,
                "to": to,
                "records": summary.entries,
                "revision": summary.revision.get(),
            }),
            Self::Plan { from, to } => json!({"plan": {"from": from, "to": to}}),
        }
    }
}
