//! A pushed image becomes a release: control changes the tree, and we wait how it goes.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use kogge_builder::ports::{Apps, News, Pending, Release};
use kogge_containers::image::{ImageStore, Reference};
use kogge_control::{Handle, Refusal};
use kogge_model::caller::{Caller, Origin};
use kogge_model::name::AppId;
use kogge_model::reason::Reason;
use kogge_model::view::{DeployRequest, DeploymentState, DeploymentView, HealthRequest};
use tokio::sync::mpsc;

/// The label by which an image says how its health is found out: `/healthz`, `tcp`, `cmd:…` or `none`.
const HEALTH_LABEL: &str = "kogge.health";
/// How often the pusher hears that something goes on.
const PATIENCE: Duration = Duration::from_secs(10);

/// Apps that are pushed to.
pub(crate) struct PushedApps {
    pub(crate) control: Handle,
    pub(crate) images: ImageStore,
}

impl Apps for PushedApps {
    fn exists(&self, app: AppId) -> Pending<'_, Result<bool, Reason>> {
        Box::pin(async move { self.control.has_app(app).await.map_err(|refusal| reason_of(&refusal)) })
    }

    fn release(&self, release: Release) -> Pin<Box<dyn Stream<Item = News> + Send + '_>> {
        let (sender, receiver) = mpsc::channel(16);
        let work = async move {
            let last = match self.roll_out(release, &sender).await {
                Ok(url) => News::Live { url },
                Err(reason) => News::Failed(reason),
            };
            // A pusher who has gone need not hear it.
            let _ = sender.send(last).await;
        };
        let news = stream::unfold(receiver, |mut receiver| async move {
            let news = receiver.recv().await?;
            Some((news, receiver))
        });
        let work = stream::once(work).filter_map(|()| async { None });
        Box::pin(stream::select(news, work))
    }
}

impl PushedApps {
    async fn roll_out(&self, release: Release, news: &mpsc::Sender<News>) -> Result<Option<String>, Reason> {
        let standing = self.control.service(release.app.default_service().path()).await.ok();
        let request = self.request(&release, standing.is_none()).await?;
        let local = Caller::local_operator().name;
        let name = match release.pusher.as_str() {
            pusher if pusher.is_empty() || pusher == local => "git push".to_owned(),
            pusher => format!("{pusher}, git push"),
        };
        let caller = Caller { name, origin: Origin::GitPush };
        let change =
            self.control.deploy(&caller, request, false).await.map_err(|refusal| reason_of(&refusal))?;
        let Some(deployment) = change.deployments.into_iter().next() else {
            let _ = news.send(News::Line("nothing has changed since the last release".to_owned())).await;
            return Ok(standing.and_then(|service| service.urls.into_iter().next()));
        };
        self.follow(deployment, news).await
    }

    /// What is not asked for stays as it is, so only the first release of an app says how its health is found out,
    /// unless the image does.
    async fn request(&self, release: &Release, is_first: bool) -> Result<DeployRequest, Reason> {
        let reference: Reference =
            release.image.name.parse().map_err(|error| Reason::new(format!("{error}")))?;
        let image = self.images.resolve(&reference).await.map_err(|error| super::images::reason(&error))?;
        let label = image.config.labels.get(HEALTH_LABEL).cloned();
        let is_routed = !image.config.exposed_ports.is_empty();
        let default = (is_first && is_routed).then(|| "tcp".to_owned());
        let health =
            label.or(default).map(|check| HealthRequest { check: Some(check), ..HealthRequest::default() });
        let exposed: Vec<u16> = image.config.exposed_ports.iter().map(|port| port.port).collect();
        Ok(DeployRequest {
            name: Some(release.app.default_service().path()),
            image: Some(release.image.name.clone()),
            ports: is_routed.then_some(exposed),
            health,
            message: Some(format!("push {} ({})", release.image.name, short(&release.commit))),
            ..DeployRequest::default()
        })
    }

    async fn follow(
        &self,
        mut deployment: DeploymentView,
        news: &mpsc::Sender<News>,
    ) -> Result<Option<String>, Reason> {
        let mut told = String::new();
        loop {
            let line = progress(&deployment);
            if line != told {
                let _ = news.send(News::Line(line.clone())).await;
                told = line;
            }
            match deployment.state {
                DeploymentState::Done => return Ok(deployment.url),
                DeploymentState::RolledBack | DeploymentState::Failed | DeploymentState::Superseded => {
                    return Err(why(&deployment));
                }
                DeploymentState::Running | DeploymentState::RollingBack => {}
            }
            let id = deployment.deployment.clone();
            deployment =
                self.control.deployment(id, Some(PATIENCE)).await.map_err(|refusal| reason_of(&refusal))?;
        }
    }
}

fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

fn progress(deployment: &DeploymentView) -> String {
    match (deployment.state, &deployment.reason) {
        (DeploymentState::RollingBack, Some(reason)) => format!("going back: {reason}"),
        (_, Some(reason)) => reason.clone(),
        (_, None) => format!("{} of {} healthy", deployment.healthy, deployment.wanted),
    }
}

fn why(deployment: &DeploymentView) -> Reason {
    let text = deployment.reason.clone().unwrap_or_else(|| "the release did not come up".to_owned());
    let reason = match deployment.state {
        DeploymentState::Superseded => Reason::new("a newer change took over before this release was up"),
        DeploymentState::RolledBack => Reason::new(format!("{text}; what ran before runs on")),
        _ => Reason::new(text),
    };
    let hint = format!("kogge why {0}; kogge logs {0}", deployment.service);
    reason.with_hint(deployment.hint.clone().unwrap_or(hint))
}

fn reason_of(refusal: &Refusal) -> Reason {
    let reason = Reason::new(refusal.to_string());
    match refusal.hint() {
        Some(hint) => reason.with_hint(hint),
        None => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_that_is_rolled_back_says_that_the_old_release_runs_on() {
        let deployment = DeploymentView {
            deployment: "d".into(),
            service: "hello".into(),
            state: DeploymentState::RolledBack,
            revision: 2,
            started_at: kogge_model::time::Timestamp::ZERO.into(),
            ended_at: None,
            wanted: 1,
            updated: 0,
            healthy: 0,
            outdated: 1,
            url: None,
            reason: Some("exit code 1".into()),
            hint: None,
        };
        let reason = why(&deployment);
        assert_eq!(reason.text, "exit code 1; what ran before runs on");
        assert_eq!(reason.hint.as_deref(), Some("kogge why hello; kogge logs hello"));
    }
}
