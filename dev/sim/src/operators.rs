//! What operators say of machines: drain them, use them again, label them, forget them.

use std::time::Duration;

use kogge_kernel::Instruction;

use crate::chance::Chance;
use crate::server::Server;
use crate::world::{Event, World, note};

/// So many machines are never drained nor labelled, so that there is always somewhere to go.
const SPARED: usize = 2;

/// Between two instructions, at most.
const PAUSE_MS: u64 = 30_000;

fn draw(chance: &mut Chance) -> Instruction {
    match chance.below(5) {
        0 | 1 => Instruction::Drain("new disk".into()),
        2 | 3 => Instruction::Undrain,
        _ => {
            let zone = ["a", "b", "c"][chance.index(3)];
            let value = chance.is(700).then(|| zone.to_owned());
            Instruction::Label([("zone".to_owned(), value)].into())
        }
    }
}

/// Between two tries to forget a machine: only one that was given up is.
const RETRY: Duration = Duration::from_secs(5);

impl World {
    /// Whoever forgets a machine has made sure that nothing runs on it any more: ordinary copies on it, which no lease
    /// ends, are waited for until then.
    pub(crate) fn retire(&mut self, machine: usize) {
        self.schedule.at(self.now.plus(RETRY), Event::Retire { machine });
        if !self.machines[machine].containers.is_empty() {
            note!(self, "operator: m{machine} is switched off");
            self.machines[machine].lose_power(false);
        }
        let agent = self.machines[machine].id();
        let is_known = |server: &Server| server.kernel.view().agent(&agent).is_some();
        if self.server_paused_until <= self.now && self.server.as_ref().is_some_and(is_known) {
            let instruction = Instruction::Forget;
            self.serve(|server, now, round, watchers| {
                server.instruct(now, agent, instruction, round, watchers)
            });
        }
    }

    pub(crate) fn operate(&mut self) {
        if !self.is_troubled || self.machines.len() <= SPARED {
            return;
        }
        let next = self.chances.operators.millis(500, PAUSE_MS);
        self.schedule.at(self.now.plus(next), Event::Operator);
        if self.server.is_none() || self.server_paused_until > self.now {
            return;
        }
        let machine = SPARED + self.chances.operators.index(self.machines.len() - SPARED);
        let instruction = draw(&mut self.chances.operators);
        self.tally.instructions += 1;
        note!(self, "operator: m{machine}: {instruction:?}");
        let agent = self.machines[machine].id();
        self.serve(|server, now, round, watchers| server.instruct(now, agent, instruction, round, watchers));
    }
}
