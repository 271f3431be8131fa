//! Start and restart are one path: what was recorded, compared with what is left.

use std::time::Duration;

use kogge_model::id::TaskId;
use kogge_model::reason::Reason;
use kogge_model::task::{Outcome, Running};
use kogge_model::time::Timestamp;

use crate::effect::Effects;
use crate::explain;
use crate::input::Found;
use crate::node::Node;
use crate::plan_lease::Tenure;
use crate::record::{Recorded, StopOrder, TaskRecord};
use crate::state::{Alive, Phase, Resend, StopStage, Stopping, Task, Watch};

/// A driver need not bring each record to the disk before it speaks of it: after a loss of power a record may be older
/// than what was told. Updates of a new boot are numbered beyond all that an earlier one can have reached.
const PER_BOOT: u64 = 1 << 32;

impl Node {
    /// Takes a record of an earlier node in.
    pub(crate) fn remember(&mut self, record: TaskRecord) {
        let is_of_this_boot = record.boot_id == self.config.boot_id;
        let phase = match &record.recorded {
            Recorded::Ended(_) => Phase::Ended { is_collecting: false },
            Recorded::Starting | Recorded::Running(_) | Recorded::Stopping(_) => Phase::Recovering,
        };
        let task = Task {
            id: record.task.clone(),
            run: record.run,
            spec: record.spec,
            boot_id: record.boot_id,
            sequence: if is_of_this_boot { record.sequence } else { record.sequence + PER_BOOT },
            at: record.at,
            told: record.recorded,
            reason: record.reason,
            is_acknowledged: record.is_acknowledged,
            resend: Resend::at(record.at),
            phase,
            tenure: Tenure::default(),
        };
        self.tasks.insert(record.task, task);
    }

    /// Compares what was recorded of `id` with what there is.
    pub(crate) fn recover(&mut self, now: Timestamp, id: &TaskId, found: Found, effects: &mut Effects) {
        let Some(task) = self.tasks.get(id).filter(|task| matches!(task.phase, Phase::Recovering)) else {
            return;
        };
        match (task.told.clone(), found) {
            (Recorded::Starting, Found::Running { pid, started_at, ip }) => {
                let reason = Reason::new("started, and taken over by a new agent process");
                self.run(now, id, (pid, started_at, ip), reason, effects);
            }
            (Recorded::Running(told), Found::Running { pid, .. }) => self.adopt(now, id, told, pid, effects),
            (Recorded::Stopping(order), Found::Running { .. }) => {
                self.ask_to_end(now, id, self.order_from_now(now, order), effects);
            }
            (Recorded::Starting | Recorded::Running(_), Found::Exited { exit, at, oom_kills }) => {
                self.set_phase(id, Phase::Starting { awaits_image: false });
                self.exited(now, id, (exit, at, oom_kills), effects);
            }
            (Recorded::Stopping(order), Found::Exited { exit, at, oom_kills }) => {
                self.set_phase(id, Phase::Stopping(Stopping { order, stage: StopStage::Asked }));
                self.exited(now, id, (exit, at, oom_kills), effects);
            }
            (Recorded::Stopping(order), Found::Nothing) => {
                self.end(now, id, (now, Outcome::Killed, None), order.why, effects);
            }
            (told, Found::Lost { .. } | Found::Nothing) if self.is_of_another_boot(id) => {
                self.end_by_reboot(now, id, told, effects);
            }
            (Recorded::Starting, Found::Nothing) => self.start_again(now, id, effects),
            (Recorded::Stopping(order), Found::Lost { reason }) => {
                let reason = Reason::new(format!("{} ({reason})", order.why));
                self.vanish(now, id, Outcome::Killed, reason, effects);
            }
            (Recorded::Starting | Recorded::Running(_), Found::Lost { reason }) => {
                self.vanish(now, id, Outcome::Lost, reason, effects);
            }
            (Recorded::Running(_), Found::Nothing) => {
                let reason = Reason::new("its supervisor left nothing behind");
                self.vanish(now, id, Outcome::Lost, reason, effects);
            }
            (Recorded::Ended(_), _) => {}
        }
    }

    fn set_phase(&mut self, id: &TaskId, phase: Phase) {
        if let Some(task) = self.tasks.get_mut(id) {
            task.phase = phase;
        }
    }

    fn is_of_another_boot(&self, id: &TaskId) -> bool {
        self.tasks.get(id).is_some_and(|task| task.boot_id != self.config.boot_id)
    }

    /// Goes on watching a process that never stopped. Nothing is told: nothing has changed (G7).
    fn adopt(&mut self, now: Timestamp, id: &TaskId, told: Running, pid: u32, effects: &mut Effects) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        let running = Running { pid, ..told.clone() };
        let watch = task.known_spec().template.health.clone().map(|check| Watch {
            has_succeeded: running.health != kogge_model::health::Health::Starting,
            ..Watch::new(check, now)
        });
        task.phase = Phase::Running(Box::new(Alive { running: running.clone(), watch }));
        let reason = Reason::new(format!("process {pid} ran on while the agent was away"));
        effects.push(explain::of_task(now, task, "adopt", reason));
        if running != told {
            let reason = task.reason.clone();
            self.tell(now, id, Recorded::Running(running), reason, effects);
        }
    }

    /// No supervisor was started: the start can safely be made again.
    fn start_again(&mut self, now: Timestamp, id: &TaskId, effects: &mut Effects) {
        self.set_phase(id, Phase::Queued);
        self.queue.push_back(id.clone());
        let reason = Reason::new("the agent ended before anything was started");
        effects.push(explain::of_task(now, &self.tasks[id], "start-again", reason));
    }

    fn end_by_reboot(&mut self, now: Timestamp, id: &TaskId, told: Recorded, effects: &mut Effects) {
        let (outcome, reason) = match told {
            Recorded::Stopping(order) => {
                (Outcome::Killed, Reason::new(format!("{} (by a reboot)", order.why)))
            }
            Recorded::Starting | Recorded::Running(_) | Recorded::Ended(_) => {
                (Outcome::Lost, Reason::new("machine rebooted"))
            }
        };
        self.end(now, id, (now, outcome, None), reason, effects);
    }

    /// The clock may have jumped since the order was recorded: its grace counts from now at the latest.
    fn order_from_now(&self, now: Timestamp, mut order: StopOrder) -> StopOrder {
        order.kill_at = order.kill_at.min(now.plus(Duration::from_millis(order.grace_ms)));
        order
    }
}
