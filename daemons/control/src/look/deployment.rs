//! Deployments, and waiting for one to end.

use std::time::Duration;

use kogge_model::name::ServiceId;
use kogge_model::reason::Reason;
use kogge_model::view::{DeploymentState as Word, DeploymentView};
use kogge_services::{Deployment, DeploymentState, Service};

use crate::cloud::Cloud;
use crate::handle::Handle;
use crate::refusal::Refusal;

impl Handle {
    /// A deployment by its id; with `wait`, answers when it is over or after that time.
    ///
    /// # Errors
    /// When there is none of that id: it never was, or newer ones took its place.
    pub async fn deployment(&self, id: String, wait: Option<Duration>) -> Result<DeploymentView, Refusal> {
        let deadline = tokio::time::Instant::now() + wait.unwrap_or_default();
        let mut changed = self.inner.changed.clone();
        loop {
            changed.mark_unchanged();
            let asked = id.clone();
            let view = self.look(move |cloud, _| cloud.deployment_view(&asked)).await?;
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            if view.state.is_over() || left.is_zero() {
                return Ok(view);
            }
            self.next_change(&mut changed, left).await;
        }
    }
}

impl Cloud {
    fn deployment_view(&self, id: &str) -> Result<DeploymentView, Refusal> {
        let mut found = self.services.iter().filter_map(|service| {
            let deployment = service.deployment().filter(|deployment| deployment.id.as_str() == id)?;
            Some(self.view_of_deployment(service, deployment))
        });
        found.next().ok_or_else(|| {
            let reason = Reason::new(format!(
                "there is no deployment {id}: it never was, or a newer one took its place"
            ));
            Refusal::NotFound(reason)
        })
    }

    /// The deployment a service is in, or was in last.
    pub(crate) fn deployment_view_of(&self, service: &ServiceId) -> Option<DeploymentView> {
        let service = self.services.get(service)?;
        Some(self.view_of_deployment(service, service.deployment()?))
    }

    fn view_of_deployment(&self, service: &Service, deployment: &Deployment) -> DeploymentView {
        let tally = service.tally();
        let is_routed = service.version().is_some_and(|version| !version.template.ports.is_empty());
        let reason = deployment.reason().cloned().or_else(|| Self::what_it_waits_for(service, deployment));
        DeploymentView {
            deployment: deployment.id.to_string(),
            service: service.id().to_string(),
            state: word(&deployment.state),
            revision: deployment.revision.0,
            started_at: deployment.started_at.into(),
            ended_at: deployment.ended_at().map(Into::into),
            wanted: tally.wish,
            updated: tally.updated,
            healthy: tally.updated_healthy,
            outdated: tally.outdated + tally.leaving,
            url: is_routed.then(|| self.settings.url(&self.settings.host(service.id()))),
            hint: reason.as_ref().and_then(|reason| reason.hint.clone()),
            reason: reason.map(|reason| reason.text),
        }
    }

    fn what_it_waits_for(service: &Service, deployment: &Deployment) -> Option<Reason> {
        if !deployment.is_under_way() {
            return None;
        }
        Some(Reason::new(kogge_services::explain::step(service)))
    }
}

const fn word(state: &DeploymentState) -> Word {
    match state {
        DeploymentState::Running => Word::Running,
        DeploymentState::Succeeded { .. } => Word::Done,
        DeploymentState::RollingBack { .. } => Word::RollingBack,
        DeploymentState::RolledBack { .. } => Word::RolledBack,
        DeploymentState::Failed { .. } => Word::Failed,
        DeploymentState::Superseded { .. } => Word::Superseded,
    }
}
