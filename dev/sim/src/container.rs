//! A faked container with its supervisor: up slowly or not at all, ends as its program does.

use std::sync::Arc;

use kogge_model::id::RunId;
use kogge_model::task::{Exit, TaskSpec};
use kogge_model::time::Timestamp;
use kogge_node::Found;

use crate::behaviour::Behaviour;

/// One container.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    pub(crate) run: RunId,
    pub(crate) spec: Arc<TaskSpec>,
    pub(crate) behaviour: Behaviour,
    pub(crate) state: State,
    /// Its supervisor answers.
    pub(crate) has_shim: bool,
    /// Health checks succeed from then on.
    pub(crate) healthy_from: Timestamp,
    /// And fail again until then.
    pub(crate) ill_until: Timestamp,
    /// Its supervisor ends it then.
    pub(crate) lease_until: Option<Timestamp>,
    /// It was told to end.
    pub(crate) is_asked_to_end: bool,
}

/// What there is of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Starting { is_cancelled: bool },
    Running { pid: u32, started_at: Timestamp },
    Exited { exit: Exit, at: Timestamp },
}

impl Behaviour {
    pub(crate) const fn can_start(self) -> bool {
        !matches!(self, Self::FailsToStart | Self::Rejected)
    }
}

impl Container {
    pub(crate) fn new(run: RunId, spec: Arc<TaskSpec>) -> Self {
        Self {
            run,
            behaviour: Behaviour::of(&spec.template),
            spec,
            state: State::Starting { is_cancelled: false },
            has_shim: true,
            healthy_from: Timestamp::ZERO,
            ill_until: Timestamp::ZERO,
            lease_until: None,
            is_asked_to_end: false,
        }
    }

    pub(crate) fn run(&mut self, now: Timestamp) {
        let pid = u32::try_from(self.run.0 % 30_000).expect("small") + 100;
        self.state = State::Running { pid, started_at: now };
    }

    /// Whether it takes its resources.
    pub(crate) const fn is_present(&self) -> bool {
        match self.state {
            State::Starting { .. } | State::Running { .. } => true,
            State::Exited { .. } => false,
        }
    }

    pub(crate) const fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    pub(crate) fn is_healthy(&self, now: Timestamp) -> bool {
        self.is_running()
            && self.behaviour != Behaviour::NeverHealthy
            && self.healthy_from <= now
            && self.ill_until <= now
    }

    /// What an agent that boots finds of it.
    pub(crate) fn found(&self) -> Found {
        match self.state {
            _ if !self.has_shim => Found::Lost { reason: "its supervisor does not answer".into() },
            State::Starting { .. } => Found::Nothing,
            State::Running { pid, started_at } => {
                Found::Running { pid, started_at, ip: std::net::IpAddr::from([172, 16, 0, 2]) }
            }
            State::Exited { exit, at } => Found::Exited { exit, at, oom_kills: 0 },
        }
    }
}
