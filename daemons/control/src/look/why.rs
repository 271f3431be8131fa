//! Why something is as it is: how it stands, what to do, what was decided.

use kogge_model::caller::{Caller, Origin};
use kogge_model::decision::Decision;
use kogge_model::name::{AppId, InstanceId, ServiceId};
use kogge_model::task::TaskState;
use kogge_model::time::Timestamp;
use kogge_model::view::{DecisionView, WhyView};
use kogge_services::Instance;

use crate::cloud::Cloud;
use crate::handle::Handle;
use crate::refusal::Refusal;

/// Decisions that are shown.
const HISTORY: usize = 30;
/// Starting instances of a service that are asked what they wait for; the history tells of the others.
const SAID_WAITS: usize = 5;

impl Handle {
    /// Answers `kogge why NAME` for an instance, a service or an app.
    ///
    /// # Errors
    /// When nothing of that name is known.
    pub async fn why(&self, caller: &Caller, name: String) -> Result<WhyView, Refusal> {
        let origin = caller.origin;
        self.look(move |cloud, now| cloud.why(&name, origin, now)).await
    }
}

impl Cloud {
    fn why(&self, name: &str, origin: Origin, now: Timestamp) -> Result<WhyView, Refusal> {
        if let Ok(instance) = name.parse::<InstanceId>() {
            return self.why_instance(&instance, now).ok_or_else(|| self.unknown(name));
        }
        let (services, _) = match self.subjects(Some(name)) {
            Ok(found) => found,
            Err(refusal) => return self.why_empty_app(name, origin).ok_or(refusal),
        };
        let mut view = WhyView {
            subject: name.to_owned(),
            sentences: Vec::new(),
            hints: Vec::new(),
            history: Vec::new(),
        };
        for service in &services {
            self.add_service(service, now, &mut view);
        }
        view.history.sort_by_key(|decision| std::cmp::Reverse(decision.at));
        view.history.truncate(HISTORY);
        Ok(view)
    }

    fn add_service(&self, service: &ServiceId, now: Timestamp, view: &mut WhyView) {
        match self.services.why(service, now) {
            Some(explanation) => {
                view.sentences.extend(explanation.sentences);
                view.hints.extend(explanation.hints);
            }
            None => view.sentences.push(format!("{service} is no longer wanted, and no instance is left")),
        }
        let instances = self.services.get(service).into_iter().flat_map(|known| known.instances.values());
        let starting = instances.filter(|instance| is_starting(instance)).take(SAID_WAITS);
        starting.filter_map(|instance| self.wait_of(instance)).for_each(|wait| say(wait, view));
        view.history.extend(self.journal.of(Some(service)).take(HISTORY).map(DecisionView::from));
    }

    /// Why a task that is on its way up may not start yet, if that is the last thing that was decided about it.
    fn wait_of(&self, instance: &Instance) -> Option<&Decision> {
        let attempt = instance.attempt().filter(|_| is_starting(instance))?;
        let mut decisions = self.journal.of(Some(&instance.id.service));
        let last = decisions.find(|decision| decision.task.as_ref() == Some(&attempt.task))?;
        (last.verb == "wait").then_some(last)
    }

    fn why_instance(&self, id: &InstanceId, now: Timestamp) -> Option<WhyView> {
        let number = Some(id.number);
        let of_it = self.journal.of(Some(&id.service)).filter(|decision| decision.instance == number);
        let history: Vec<DecisionView> = of_it.take(HISTORY).map(DecisionView::from).collect();
        let explanation = self.services.why_instance(id, now);
        if explanation.is_none() && history.is_empty() {
            return None;
        }
        let mut view = WhyView { subject: id.to_string(), sentences: Vec::new(), hints: Vec::new(), history };
        match explanation {
            Some(explanation) => {
                view.sentences.extend(explanation.sentences);
                view.hints.extend(explanation.hints);
            }
            None => view.sentences.push(format!("there is no instance {id} any more")),
        }
        let instance = self.services.get(&id.service).and_then(|known| known.instances.get(&id.number));
        if let Some(wait) = instance.and_then(|instance| self.wait_of(instance)) {
            say(wait, &mut view);
        }
        Some(view)
    }

    fn why_empty_app(&self, name: &str, origin: Origin) -> Option<WhyView> {
        let app: AppId = name.parse().ok()?;
        self.apps().contains(&app).then(|| WhyView {
            subject: app.to_string(),
            sentences: vec![format!("{app} has no service yet")],
            hints: vec![
                format!("push to {}", self.settings.git_url(&app, origin)),
                format!("kogge deploy --name {app} --image IMAGE"),
            ],
            history: Vec::new(),
        })
    }
}

fn is_starting(instance: &Instance) -> bool {
    let attempt = instance.attempt();
    attempt.is_some_and(|attempt| matches!(attempt.state, TaskState::Staging | TaskState::Starting))
}

/// With what can be done about it.
fn say(wait: &Decision, view: &mut WhyView) {
    view.sentences.push(wait.reason.text.clone());
    view.hints.extend(wait.reason.hint.clone());
}
