//! Health: when to ask, and what the answers mean.
//!
//! Until the first success probes come fast and failures only mean "not yet", for as long as the grace lasts. Then
//! the check's own interval counts, from one beginning to the next, and failures in a row change the verdict.

use std::net::SocketAddr;
use std::time::Duration;

use kogge_model::health::{Health, HealthCheck, Probe};
use kogge_model::id::TaskId;
use kogge_model::reason::Reason;
use kogge_model::task::{Running, TaskSpec};
use kogge_model::time::Timestamp;

use crate::effect::{Effect, Effects, ProbeTarget};
use crate::explain;
use crate::node::Node;
use crate::record::Recorded;
use crate::state::{Phase, Pulse, Task, Watch};

/// The first probes come faster than [`HealthCheck::START_INTERVAL`], for programs that are up in no time.
const FIRST_WAIT: Duration = Duration::from_millis(10);

/// A prober that has not answered this long after its probe's timeout has failed itself.
const PROBER_SLACK: Duration = Duration::from_secs(5);

/// Longest part of a probe's own words that is repeated in a verdict, in characters.
const MAX_REASON_CHARS: usize = 300;

impl Watch {
    /// A watch that begins to ask at `now`.
    pub(crate) const fn new(check: HealthCheck, now: Timestamp) -> Self {
        Self {
            check,
            since: now,
            has_succeeded: false,
            failures: 0,
            number: 0,
            start_wait: FIRST_WAIT,
            pulse: Pulse::Waiting { until: now },
        }
    }

    /// The verdict after one more success.
    fn succeed(&mut self) -> Health {
        self.has_succeeded = true;
        self.failures = 0;
        Health::Healthy
    }

    /// The verdict after one more failure, given the one before.
    fn fail(&mut self, now: Timestamp, before: &Health, reason: Reason) -> Health {
        self.failures = self.failures.saturating_add(1);
        if !self.has_succeeded {
            let is_forgiven = now < self.since.plus(self.check.grace());
            return if is_forgiven { Health::Starting } else { self.never_came_up(&reason) };
        }
        if self.failures < self.check.failures_to_leave {
            return before.clone();
        }
        // The count stops where it has done its worst, so that a hopeless instance is told of once, not for ever.
        let most = self.check.failures_to_replace.max(self.check.failures_to_leave);
        if self.failures > most {
            before.clone()
        } else {
            Health::Unhealthy { failures: self.failures, reason }
        }
    }

    /// The grace was also the limit until the first success: this is as bad as it gets.
    fn never_came_up(&self, last: &Reason) -> Health {
        let text = format!("no check succeeded within {} ms after the start: {last}", self.check.grace_ms);
        Health::Unhealthy { failures: self.check.failures_to_replace.max(1), reason: Reason::new(text) }
    }

    /// When the next probe begins after one that began at `since`.
    fn next_wait(&mut self) -> Duration {
        if self.has_succeeded {
            return self.check.interval();
        }
        let wait = self.start_wait;
        self.start_wait = (wait * 2).min(HealthCheck::START_INTERVAL);
        wait
    }
}

impl Node {
    /// Gives up on probes that do not end, and begins those that are due.
    pub(crate) fn probe(&mut self, now: Timestamp, effects: &mut Effects) {
        for (id, number) in self.unanswered(now) {
            self.probed(now, &id, number, Err(Reason::new("the probe itself did not end")), effects);
        }
        for task in self.tasks.values_mut() {
            let Phase::Running(alive) = &mut task.phase else { continue };
            let Some(watch) = &mut alive.watch else { continue };
            if !matches!(watch.pulse, Pulse::Waiting { until } if until <= now) {
                continue;
            }
            watch.number += 1;
            let timeout = watch.check.timeout();
            watch.pulse = Pulse::Probing { since: now, deadline: now.plus(timeout + PROBER_SLACK) };
            let spec = task.spec.as_ref().expect("a running task was launched with a spec");
            let target = target(spec, &alive.running, &watch.check.probe);
            effects.push(Effect::Probe { task: task.id.clone(), number: watch.number, target, timeout });
        }
    }

    /// Probes whose answer should long be here.
    fn unanswered(&self, now: Timestamp) -> Vec<(TaskId, u64)> {
        let watched = self.tasks.values().filter_map(|task| match &task.phase {
            Phase::Running(alive) => Some((&task.id, alive.watch.as_ref()?)),
            _ => None,
        });
        let late = watched
            .filter(|(_, watch)| matches!(watch.pulse, Pulse::Probing { deadline, .. } if deadline <= now));
        late.map(|(id, watch)| (id.clone(), watch.number)).collect()
    }

    pub(crate) fn probe_due(task: &Task) -> Option<Timestamp> {
        let Phase::Running(alive) = &task.phase else { return None };
        Some(match alive.watch.as_ref()?.pulse {
            Pulse::Waiting { until } => until,
            Pulse::Probing { deadline, .. } => deadline,
        })
    }

    /// Takes a probe's answer in; a change of the verdict is told.
    pub(crate) fn probed(
        &mut self,
        now: Timestamp,
        id: &TaskId,
        number: u64,
        result: Result<(), Reason>,
        effects: &mut Effects,
    ) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        let Phase::Running(alive) = &mut task.phase else { return };
        let Some(watch) = alive.watch.as_mut().filter(|watch| watch.number == number) else { return };
        let Pulse::Probing { since, .. } = watch.pulse else { return };
        let verdict = match result {
            Ok(()) => watch.succeed(),
            Err(reason) => watch.fail(now, &alive.running.health, bounded(reason)),
        };
        let wait = watch.next_wait();
        let until = since.plus(self.chance.probes.shorten(wait)).max(now);
        watch.pulse = Pulse::Waiting { until };
        if verdict != alive.running.health {
            alive.running.health = verdict;
            let running = alive.running.clone();
            self.tell_health(now, id, running, effects);
        }
    }

    fn tell_health(&mut self, now: Timestamp, id: &TaskId, running: Running, effects: &mut Effects) {
        let (verb, reason) = match &running.health {
            Health::Starting => ("probe", Reason::new("started, no check has succeeded yet")),
            Health::Healthy => ("healthy", Reason::new("healthy")),
            Health::Unhealthy { failures, reason } => {
                ("unhealthy", Reason::new(format!("unhealthy after {failures} failed checks: {reason}")))
            }
        };
        self.tell(now, id, Recorded::Running(running), reason.clone(), effects);
        effects.push(explain::of_task(now, &self.tasks[id], verb, reason));
    }
}

/// Whom `probe` asks. On the bridge a port is the container's own, with the host network both are the same.
fn target(spec: &TaskSpec, running: &Running, probe: &Probe) -> ProbeTarget {
    let address = |port: usize| {
        // Specs are checked at the edge; port 0 answers nobody, which is the truth about a port that is not there.
        let port = spec.ports.get(port).map_or(0, |binding| binding.container_port.get());
        SocketAddr::new(running.ip, port)
    };
    match probe {
        Probe::Http { path, port } => ProbeTarget::Http { address: address(*port), path: path.clone() },
        Probe::Tcp { port } => ProbeTarget::Tcp { address: address(*port) },
        Probe::Command { argv } => ProbeTarget::Command { argv: argv.clone() },
    }
}

/// What a task says of itself may be long; its head is enough for a reason.
fn bounded(mut reason: Reason) -> Reason {
    if reason.text.chars().count() > MAX_REASON_CHARS {
        reason.text = reason.text.chars().take(MAX_REASON_CHARS).chain(['…']).collect();
    }
    reason
}
