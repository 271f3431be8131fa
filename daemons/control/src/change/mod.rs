//! What changes the tree: each wish becomes edits, the edits one revision.
//!
//! A plan and the real thing take the same way up to the last step, so a plan cannot promise what the change does
//! not do.

mod app;
mod deploy;
mod difference;
mod node;
mod services;

use kogge_model::caller::Caller;
use kogge_model::reason::Reason;
use kogge_model::view::ChangeView;
use kogge_revisions::{Author, Edit, WriteError};

use crate::cloud::Cloud;
use crate::refusal::Refusal;
use crate::round::Round;

/// Who wants what, and whether it is only asked what would happen.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) caller: Caller,
    pub(crate) message: String,
    pub(crate) is_plan: bool,
}

impl Cloud {
    /// Makes one revision of `edits`, or tells what it would change.
    pub(crate) fn change(
        &mut self,
        edits: &[Edit],
        wish: &Wish,
        round: &mut Round,
    ) -> Result<ChangeView, Refusal> {
        let author = Author { name: wish.caller.name.clone(), at: round.now, message: wish.message.clone() };
        let write = self.tree.plan(edits, &author)?;
        let changes = difference::of(self, edits);
        let Some(write) = write else {
            return Ok(ChangeView { is_plan: wish.is_plan, ..ChangeView::default() });
        };
        if wish.is_plan {
            return Ok(ChangeView { is_plan: true, changes, ..ChangeView::default() });
        }
        let revision = write.save_revision.id;
        let touched = self.write(write, round);
        let deployments = touched.iter().filter_map(|service| self.deployment_view_of(service)).collect();
        Ok(ChangeView { is_plan: false, changes, revision: Some(revision.0), deployments })
    }
}

impl From<WriteError> for Refusal {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Invalid { faults, .. } => Self::Invalid(faults),
            WriteError::Conflict { .. } => {
                Self::Conflict(Reason::new(error.to_string()).with_hint("read it again, then try again"))
            }
            WriteError::NoSuchRevision { .. } => Self::NotFound(Reason::new(error.to_string())),
        }
    }
}
