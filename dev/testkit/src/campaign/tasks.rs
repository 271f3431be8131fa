//! Tasks of the users' service, as they ran at one time.

use std::collections::BTreeMap;

use nix::sys::signal::Signal;

use super::Miss;
use crate::cluster::ProcessId;

/// Tasks of the users' service: by their id, agent and process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tasks(pub BTreeMap<String, (String, ProcessId)>);

impl Tasks {
    /// That all processes live.
    ///
    /// # Errors
    /// Which one does not.
    pub fn alive(&self) -> Result<(), Miss> {
        let dead = self.0.iter().find(|(_, (_, process))| !process.is_alive());
        dead.map_or(Ok(()), |(task, (agent, _))| Err(Miss::new(format!("task {task} on {agent} was killed"))))
    }

    /// Kills whoever started them, and leaves them alone.
    ///
    /// # Errors
    /// When it cannot be found.
    pub fn kill_supervisors(&self) -> Result<(), Miss> {
        for (task, (_, process)) in &self.0 {
            let shim = process.parent().and_then(ProcessId::of).filter(|shim| shim.pid > 1);
            let shim = shim.ok_or_else(|| Miss::new(format!("nobody supervises {task}")))?;
            shim.signal(Signal::SIGKILL)?;
        }
        Ok(())
    }

    /// Kills them, and leaves those alone who started them.
    ///
    /// # Errors
    /// When one cannot be.
    pub fn kill(&self) -> Result<(), Miss> {
        for (_, process) in self.0.values() {
            process.signal(Signal::SIGKILL)?;
        }
        Ok(())
    }

    /// Those of one agent.
    #[must_use]
    pub fn on(&self, agent: &str) -> Self {
        Self(self.0.clone().into_iter().filter(|(_, (of, _))| of == agent).collect())
    }

    /// Those of all other agents.
    #[must_use]
    pub fn off(&self, agent: &str) -> Self {
        Self(self.0.clone().into_iter().filter(|(_, (of, _))| of != agent).collect())
    }
}
