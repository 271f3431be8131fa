//! What all changes have in common: a plan to read, progress to watch, an end to wait for.

use std::io;
use std::time::Duration;

use kogge_client::Client;
use kogge_model::view::{ChangeView, DeploymentState, DeploymentView, FieldChange};

use crate::args::Settle;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Page, Show};

/// How long the API may hold an answer back while nothing is over yet; also how often progress is told anew.
const LOOK: Duration = Duration::from_millis(500);

/// Tells a change; one that was really made is first followed to its end, unless nobody wants to wait.
pub(crate) async fn settle(
    context: &mut Context,
    client: &Client,
    mut change: ChangeView,
    settle: Settle,
) -> Result<(), Failure> {
    if settle.plan {
        context.print(&change)?;
        context.say("nothing was changed: this is only the plan");
        return Ok(());
    }
    if !settle.detach {
        for deployment in &mut change.deployments {
            *deployment = follow(client, deployment.clone()).await?;
        }
    }
    if change.revision.is_none() {
        context.say("nothing to change: everything is as asked already");
    }
    context.print(&change)
}

/// Waits until a deployment is over, telling how far it is.
async fn follow(client: &Client, mut deployment: DeploymentView) -> Result<DeploymentView, Failure> {
    let mut progress = Context::progress();
    while !deployment.state.is_over() {
        progress.tell(line(&deployment));
        deployment = client.deployment(&deployment.deployment, LOOK).await?;
    }
    drop(progress);
    match verdict(&deployment) {
        Some(failure) => Err(failure),
        None => Ok(deployment),
    }
}

fn line(deployment: &DeploymentView) -> String {
    let DeploymentView { service, healthy, wanted, reason, .. } = deployment;
    let counts = || format!("{healthy} of {wanted} healthy");
    let waiting = reason.clone().unwrap_or_else(counts);
    match deployment.state {
        DeploymentState::RollingBack => format!("{service}: going back to what ran before: {waiting}"),
        _ => format!("{service}: {waiting}"),
    }
}

/// Why a deployment that is over is a failure, if it is one.
fn verdict(deployment: &DeploymentView) -> Option<Failure> {
    let service = &deployment.service;
    let reason = deployment.reason.as_deref().unwrap_or("no reason was given");
    let text = match deployment.state {
        DeploymentState::Running | DeploymentState::RollingBack | DeploymentState::Done => return None,
        DeploymentState::RolledBack => {
            format!("deploying {service} failed, and what ran before serves on: {reason}")
        }
        DeploymentState::Failed => format!("deploying {service} failed: {reason}"),
        DeploymentState::Superseded => format!("a newer deployment of {service} took over"),
    };
    let hint = deployment.hint.clone().unwrap_or_else(|| format!("kogge why {service}"));
    Some(Failure::new(text).with_hint(hint))
}

impl Show for ChangeView {
    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        if self.is_plan && self.changes.is_empty() {
            return writeln!(page.out, "nothing would change");
        }
        if self.is_plan || self.deployments.is_empty() {
            return self.changes.iter().try_for_each(|change| writeln!(page.out, "{}", difference(change)));
        }
        self.deployments.iter().try_for_each(|deployment| match &deployment.url {
            Some(url) if deployment.state == DeploymentState::Done && deployment.wanted > 0 => {
                writeln!(page.out, "{url}")
            }
            _ if deployment.state == DeploymentState::Done && deployment.wanted == 0 => {
                writeln!(page.out, "{}: no instance runs", deployment.service)
            }
            _ => {
                let DeploymentView { service, healthy, wanted, state, .. } = deployment;
                writeln!(page.out, "{service}: {healthy} of {wanted} healthy, {}", state.word())
            }
        })
    }
}

/// `~ hello instances: 1 → 3`, `+ hello: …`, `- hello: …`.
fn difference(change: &FieldChange) -> String {
    let FieldChange { subject, field, before, after } = change;
    let what = if field.is_empty() { subject.clone() } else { format!("{subject} {field}") };
    match (before, after) {
        (None, Some(after)) => format!("+ {what}: {after}"),
        (Some(before), None) => format!("- {what}: {before}"),
        (Some(before), Some(after)) => format!("~ {what}: {before} → {after}"),
        (None, None) => format!("~ {what}"),
    }
}

#[cfg(test)]
mod tests {
    use kogge_model::time::Timestamp;

    use super::*;

    fn deployment(state: DeploymentState, reason: Option<&str>) -> DeploymentView {
        DeploymentView {
            deployment: "d1".into(),
            service: "hello".into(),
            state,
            revision: 7,
            started_at: Timestamp::ZERO.into(),
            ended_at: None,
            wanted: 3,
            updated: 2,
            healthy: 1,
            outdated: 1,
            url: Some("http://hello.localhost/".into()),
            reason: reason.map(Into::into),
            hint: None,
        }
    }

    fn told(change: &ChangeView) -> String {
        let mut out = Vec::new();
        change.show(&mut Page { out: &mut out, now: Timestamp::ZERO }).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_failed_deployment_says_why_and_what_to_do() {
        let failure = verdict(&deployment(DeploymentState::RolledBack, Some("exit code 1"))).unwrap();
        assert_eq!(failure.text(), "deploying hello failed, and what ran before serves on: exit code 1");
        assert_eq!(failure.hint(), Some("kogge why hello"));
        assert!(verdict(&deployment(DeploymentState::Done, None)).is_none());
        assert!(verdict(&deployment(DeploymentState::Superseded, None)).is_some());
    }

    #[test]
    fn a_finished_deployment_is_told_by_its_url() {
        let done = deployment(DeploymentState::Done, None);
        let running = deployment(DeploymentState::Running, Some("waiting for health"));
        assert_eq!(line(&running), "hello: waiting for health");
        assert_eq!(line(&deployment(DeploymentState::Running, None)), "hello: 1 of 3 healthy");
        let change =
            ChangeView { revision: Some(7), deployments: vec![done, running], ..ChangeView::default() };
        assert_eq!(told(&change), "http://hello.localhost/\nhello: 1 of 3 healthy, running\n");
    }

    #[test]
    fn a_plan_is_told_as_differences() {
        let change = |field: &str, before: Option<&str>, after: Option<&str>| FieldChange {
            subject: "hello".into(),
            field: field.into(),
            before: before.map(Into::into),
            after: after.map(Into::into),
        };
        let plan = ChangeView {
            is_plan: true,
            changes: vec![
                change("", None, Some("1 × hello:latest")),
                change("instances", Some("1"), Some("3")),
                change("template.env.A", Some("x"), None),
            ],
            ..ChangeView::default()
        };
        let expected = "+ hello: 1 × hello:latest\n~ hello instances: 1 → 3\n- hello template.env.A: x\n";
        assert_eq!(told(&plan), expected);
        assert_eq!(told(&ChangeView { is_plan: true, ..ChangeView::default() }), "nothing would change\n");
    }
}
