//! Each thing decided is told: kept to be read afterwards, or passed on to whoever watches.

use kogge_model::decision::Decision;
use kogge_model::name::ServiceId;
use kogge_model::reason::Reason;
use kogge_model::time::Timestamp;

use crate::effect::{Announcement, Effect, Effects, Subject};
use crate::state::{Deployment, Instance};

/// Something was decided about an instance.
pub(crate) fn decided(
    now: Timestamp,
    instance: &Instance,
    verb: &str,
    reason: impl Into<Reason>,
    effects: &mut Effects,
) {
    effects.push(Effect::Explain(Decision {
        at: now,
        service: Some(instance.id.service.clone()),
        instance: Some(instance.number()),
        task: instance.attempt().map(|attempt| attempt.task.clone()),
        verb: verb.to_owned(),
        reason: reason.into(),
    }));
}

/// Something was decided about a whole service.
pub(crate) fn decided_of_service(
    now: Timestamp,
    service: &ServiceId,
    verb: &str,
    reason: impl Into<Reason>,
    effects: &mut Effects,
) {
    effects.push(Effect::Explain(Decision {
        at: now,
        service: Some(service.clone()),
        instance: None,
        task: None,
        verb: verb.to_owned(),
        reason: reason.into(),
    }));
}

/// An instance changed.
pub(crate) fn announce_instance(instance: &Instance, text: impl Into<String>, effects: &mut Effects) {
    announce_instance_as(instance, instance.phase.word(), text, effects);
}

/// An instance is gone.
pub(crate) fn announce_gone(instance: &Instance, text: impl Into<String>, effects: &mut Effects) {
    announce_instance_as(instance, "gone", text, effects);
}

fn announce_instance_as(
    instance: &Instance,
    state: &'static str,
    text: impl Into<String>,
    effects: &mut Effects,
) {
    effects.push(Effect::Announce(Announcement {
        service: instance.id.service.clone(),
        subject: Subject::Instance {
            number: instance.number(),
            task: instance.attempt().map(|attempt| attempt.task.clone()),
        },
        state,
        text: text.into(),
    }));
}

/// A deployment began, moved on or ended.
pub(crate) fn announce_deployment(
    service: &ServiceId,
    deployment: &Deployment,
    text: impl Into<String>,
    effects: &mut Effects,
) {
    effects.push(Effect::Announce(Announcement {
        service: service.clone(),
        subject: Subject::Deployment(deployment.id.clone()),
        state: deployment.state.word(),
        text: text.into(),
    }));
}
