//! Many simulated agents beside those of the cluster, and people who ask less while they are there.

use std::time::Duration;

use super::{Miss, Stage};
use crate::cluster::words;
use crate::herd::{Herd, Plan};

impl Stage {
    /// How long each of those who ask and write rests from now on: while thousands of agents run on the same machine,
    /// they would take what these need.
    pub fn calm(&self, pause: Duration) {
        self.requests.rest(pause);
        self.register.rest(pause);
    }

    /// Simulated agents beside the others, where the clients are. They take no tasks.
    ///
    /// # Errors
    /// When they cannot be started.
    pub fn herd(&mut self, agents: usize) -> Result<&mut Herd, Miss> {
        let program = self.herd_program.clone();
        let program = program.ok_or_else(|| Miss::new("this needs `kogge-herd`, the simulated agents"))?;
        let client = &self.bed.record().client;
        let network = self.bed.client();
        let command = || {
            let mut command = network.command(&program);
            command.envs(&client.env);
            command
        };
        let api = client.env.get(words::API).cloned().unwrap_or_default();
        let directory = &self.bed.record().directory;
        let plan = Plan { command: &command, api: &api, directory, agents, are_closed: true };
        let herd = Herd::start(&plan).map_err(|error| Miss::new(error.to_string()))?;
        Ok(self.herd.insert(herd))
    }
}
