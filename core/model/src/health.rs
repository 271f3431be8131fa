//! Health checks, and what they found.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::reason::Reason;

/// How an instance is asked whether it is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// Failures within this time after the start are forgiven; also the limit until the first success.
    pub grace_ms: u64,
    /// Between two probes once the first has succeeded.
    pub interval_ms: u64,
    /// How long one probe may take.
    pub timeout_ms: u64,
    /// Failures in a row until the instance gets no more requests.
    pub failures_to_leave: u32,
    /// Failures in a row until the instance is replaced.
    pub failures_to_replace: u32,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Probe {
    /// `GET path` on the port answers with a status from 200 to 399.
    Http {
        /// Absolute path, may have a query.
        path: String,
        /// Index into the template's ports.
        port: usize,
    },
    /// The port accepts a connection.
    Tcp {
        /// Index into the template's ports.
        port: usize,
    },
    /// The command, run inside the container, ends with exit code 0.
    Command {
        /// Program and arguments.
        argv: Vec<String>,
    },
}

impl HealthCheck {
    /// Before the first success probes follow each other this fast.
    pub const START_INTERVAL: Duration = Duration::from_millis(250);

    /// The defaults of the guarantees' table around `probe`.
    #[must_use]
    pub fn new(probe: Probe) -> Self {
        Self {
            probe,
            grace_ms: 60_000,
            interval_ms: 5_000,
            timeout_ms: 2_000,
            failures_to_leave: 2,
            failures_to_replace: 3,
        }
    }

    /// See [`HealthCheck::interval_ms`].
    #[must_use]
    pub const fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms)
    }

    /// See [`HealthCheck::grace_ms`].
    #[must_use]
    pub const fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }

    /// See [`HealthCheck::timeout_ms`].
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

/// What the checks say of a running instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "health", rename_all = "snake_case")]
pub enum Health {
    /// There is a check, and it has not succeeded yet.
    Starting,
    /// The last check succeeded, or there is none to ask.
    Healthy,
    /// Enough checks in a row failed to take it out of rotation.
    Unhealthy {
        /// Failures in a row.
        failures: u32,
        /// What the last one said.
        reason: Reason,
    },
}

impl Health {
    /// Whether the instance may get requests and counts as capacity.
    #[must_use]
    pub const fn is_healthy(&self) -> bool {
        matches!(self, Self::Healthy)
    }
}
