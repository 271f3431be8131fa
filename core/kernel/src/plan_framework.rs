//! Frameworks come, leave, come back and end.

use kogge_model::id::FrameworkId;
use kogge_model::reason::Reason;
use kogge_model::scheduler::{Call, Event, FrameworkInfo, KnownUpdate};

use crate::effect::{Effect, Effects};
use crate::framework::Framework;
use crate::record::{FrameworkRecord, KillOrder};
use crate::state::Kernel;
use crate::timer::Timer;

impl Kernel {
    /// A framework wants to be served, for the first time or again.
    pub(crate) fn subscribe(&mut self, id: &FrameworkId, info: FrameworkInfo, effects: &mut Effects) {
        if !self.connect(id, info, effects) {
            return;
        }
        for (_, task) in &self.frameworks[id].tasks {
            let task = &self.tasks[task];
            if task.owes_acknowledgement() {
                effects.push(Effect::to_framework(id, Event::Update(task.record.status.clone())));
            }
        }
    }

    /// A framework wants to be served, and knows much already: of a hundred thousand tasks next to nothing is news.
    pub(crate) fn resume(
        &mut self,
        id: &FrameworkId,
        info: FrameworkInfo,
        known: &[KnownUpdate],
        effects: &mut Effects,
    ) {
        if self.connect(id, info, effects) {
            self.reconcile_all(id, known, effects);
        }
    }

    /// Tells whether it is served from now on.
    fn connect(&mut self, id: &FrameworkId, info: FrameworkInfo, effects: &mut Effects) -> bool {
        if let Some(reason) = self.reason_against(id, &info) {
            let call = "subscribe".to_owned();
            effects.push(Effect::to_framework(id, Event::Refused { call, reason }));
            return false;
        }
        let is_new = !self.frameworks.contains_key(id);
        let known = self.frameworks.entry(id.clone()).or_insert_with(|| Framework::new(info.clone()));
        if is_new || known.info != info {
            known.info = info.clone();
            effects.push(Effect::SaveFramework(Box::new(FrameworkRecord { info, is_ending: false })));
        }
        known.is_connected = true;
        known.is_suppressed = false;
        known.revival += 1;
        known.failover_at = None;
        let offers = known.offers.clone();
        effects.push(Effect::to_framework(id, Event::Subscribed(id.clone())));
        effects.push(Effect::to_framework(id, self.inverse_offers()));
        self.rescind(offers, effects);
        self.to_offer.extend(self.agents.keys().cloned());
        true
    }

    fn reason_against(&self, id: &FrameworkId, info: &FrameworkInfo) -> Option<Reason> {
        if info.framework != *id {
            return Some(format!("framework {id} subscribes as {}", info.framework).into());
        }
        if self.frameworks.get(id).is_some_and(|known| known.is_ending) {
            return Some("the framework was torn down and waits for its last tasks".into());
        }
        None
    }

    /// A framework's connection ended. Its tasks run on.
    pub(crate) fn disconnect(&mut self, id: &FrameworkId, effects: &mut Effects) {
        let now = self.now();
        let Some(known) = self.frameworks.get_mut(id).filter(|known| known.is_connected) else { return };
        let offers = known.offers.clone();
        known.is_connected = false;
        let deadline = now.plus(known.failover());
        known.failover_at = Some(deadline);
        self.timers.arm(deadline, Timer::Failover(id.clone()));
        for offer in offers {
            self.take_back(offer);
        }
        self.leave_if_over(id, effects);
    }

    pub(crate) fn judge_failover(&mut self, id: &FrameworkId, effects: &mut Effects) {
        let now = self.now();
        if self.frameworks.get(id).and_then(|known| known.failover_at).is_some_and(|at| at <= now) {
            self.tear_down(id, effects);
        }
    }

    /// Ends a framework and all its tasks.
    pub(crate) fn tear_down(&mut self, id: &FrameworkId, effects: &mut Effects) {
        let Some(known) = self.frameworks.get_mut(id) else { return };
        known.is_ending = true;
        known.failover_at = None;
        let record = FrameworkRecord { info: known.info.clone(), is_ending: true };
        effects.push(Effect::SaveFramework(Box::new(record)));
        let (tasks, offers) = (known.tasks.clone(), known.offers.clone());
        for offer in offers {
            self.take_back(offer);
        }
        for (_, task_id) in tasks {
            let Some(task) = self.tasks.get_mut(&task_id) else { continue };
            if task.record.is_live() {
                let reason = Reason::from("its framework was torn down");
                task.record_mut().kill.get_or_insert(KillOrder { grace_ms: None, reason });
                effects.push(task.save());
                self.send_order(&task_id, effects);
            } else {
                let sequence = task.record.status.sequence;
                self.take_acknowledgement(&task_id, sequence, effects);
            }
        }
        self.leave_if_over(id, effects);
    }

    /// A framework that was torn down leaves with its last task.
    pub(crate) fn leave_if_over(&mut self, id: &FrameworkId, effects: &mut Effects) {
        if self.frameworks.get(id).is_some_and(|known| known.is_ending && known.tasks.is_empty()) {
            self.frameworks.remove(id);
            effects.push(Effect::ForgetFramework(id.clone()));
        }
    }

    /// Says that nothing of a call was done.
    pub(crate) fn refuse(&self, framework: &FrameworkId, call: &Call, reason: Reason, effects: &mut Effects) {
        let call = word(call).to_owned();
        effects.push(Effect::to_framework(framework, Event::Refused { call, reason }));
    }
}

const fn word(call: &Call) -> &'static str {
    match call {
        Call::Subscribe(_) | Call::Resume { .. } => "subscribe",
        Call::Accept { .. } => "accept",
        Call::Decline { .. } => "decline",
        Call::Revive => "revive",
        Call::Suppress => "suppress",
        Call::Kill { .. } => "kill",
        Call::Acknowledge { .. } | Call::AcknowledgeAll(_) => "acknowledge",
        Call::Reconcile(_) => "reconcile",
        Call::Teardown => "teardown",
    }
}
