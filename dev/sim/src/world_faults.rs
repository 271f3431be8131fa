//! Mishaps in their world.

use std::time::Duration;

use kogge_model::id::TaskId;
use kogge_model::task::Exit;
use kogge_node as node;

use crate::faults::{self, Fault};
use crate::network::{LONGEST_DELAY_MS, Way};
use crate::world::{Event, World, note};

/// Longer than any run.
const FOR_EVER: Duration = Duration::from_secs(1_000_000);

/// No machine is back from a loss of power earlier: what its agent said before has arrived by then, or never will.
const SHORTEST_BOOT: Duration = Duration::from_millis(LONGEST_DELAY_MS + 1);

/// Until somebody looks after a machine that is gone, at most.
const LONGEST_UNSEEN_MS: u64 = 120_000;

impl World {
    pub(crate) fn mishap(&mut self) {
        let Some(every) = self.scenario.fault_every.filter(|_| self.is_troubled) else { return };
        self.network.weather = self.scenario.weather;
        let mean = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
        let next = self.chances.faults.millis(0, mean * 2);
        self.schedule.at(self.now.plus(next), Event::Fault);
        let (chance, machines) = (&mut self.chances.faults, self.machines.len());
        if self.scenario.is_single && chance.is(300) {
            return faults::stall(chance, machines).into_iter().for_each(|fault| self.suffer(fault));
        }
        let fault = faults::draw(chance, machines);
        self.suffer(fault);
    }

    pub(crate) fn suffer(&mut self, fault: Fault) {
        self.tally.faults += 1;
        note!(self, "fault: {fault:?}");
        match fault {
            Fault::ServerCrash { down } => self.crash_server(down),
            Fault::ServerPause { pause } => self.server_paused_until = self.now.plus(pause),
            Fault::AgentCrash { machine, down } => self.crash_agent(machine, down),
            Fault::AgentPause { machine, pause } => {
                self.machines[machine].paused_until = self.now.plus(pause)
            }
            Fault::PowerLoss { machine, down } => {
                let is_rolled_back = self.chances.faults.is(500);
                for task in self.machines[machine].lose_power(is_rolled_back) {
                    // Nobody knows that it was there, and nobody can find out.
                    if self.store.tasks.get(&task).is_some_and(|record| !record.is_confirmed()) {
                        self.checks.forgive(&task);
                    }
                }
                self.machines[machine].dark_until = self.now.plus(SHORTEST_BOOT);
                self.schedule.at(self.now.plus(down), Event::BootAgent { machine });
            }
            Fault::Gone { machine } => self.lose_machine(machine),
            Fault::Cut { machine, way, time } => {
                let until = self.now.plus(time);
                for cut in
                    [Way::ToServer, Way::ToAgent].into_iter().filter(|cut| way.is_none_or(|way| way == *cut))
                {
                    self.network.cut(machine, cut, until);
                }
            }
            Fault::LinkFlap { machine } => {
                self.tell_node(machine, node::Input::LinkDown);
                let process = self.machines[machine].process;
                let at = self.now.plus(self.chances.faults.millis(1, 3_000));
                self.schedule.at(at, Event::ToNode { machine, process, input: node::Input::LinkUp });
            }
            Fault::ContainerCrash { machine } => {
                if let Some(task) = self.any_running(machine) {
                    self.exit(machine, &task, Exit::Signal { signal: 11 });
                }
            }
            Fault::ShimDeath { machine } => self.kill_shim(machine),
            Fault::Illness { machine, time } => {
                let until = self.now.plus(time);
                if let Some(task) = self.any_running(machine)
                    && let Some(container) = self.machines[machine].containers.get_mut(&task)
                {
                    container.ill_until = until;
                }
            }
        }
    }

    /// A machine that never comes back: dead, or cut off with all that runs on it.
    fn lose_machine(&mut self, machine: usize) {
        if self.chances.faults.is(500) {
            self.machines[machine].lose_power(false);
        } else {
            self.machines[machine].node = None;
        }
        self.machines[machine].is_gone = true;
        let until = self.now.plus(FOR_EVER);
        self.network.cut(machine, Way::ToServer, until);
        self.network.cut(machine, Way::ToAgent, until);
        let found = self.chances.operators.millis(5_000, LONGEST_UNSEEN_MS);
        self.schedule.at(self.now.plus(found), Event::Retire { machine });
    }

    fn kill_shim(&mut self, machine: usize) {
        let Some(task) = self.any_running(machine) else { return };
        let Some(container) = self.machines[machine].containers.get_mut(&task) else { return };
        if container.lease_until.is_some() {
            // Nobody else enforces a lease: that both a supervisor and its agent fail at once is not promised.
            return;
        }
        container.has_shim = false;
        let process = self.machines[machine].process;
        let reason = "its supervisor does not answer".into();
        let input = node::Input::ShimLost { task, reason };
        self.schedule.at(self.now.plus(Duration::from_millis(5)), Event::ToNode { machine, process, input });
    }

    fn any_running(&mut self, machine: usize) -> Option<TaskId> {
        let running: Vec<TaskId> = self.machines[machine]
            .containers
            .iter()
            .filter(|(_, container)| container.is_running() && container.has_shim)
            .map(|(task, _)| task.clone())
            .collect();
        let index = self.chances.faults.index(running.len());
        running.get(index).cloned()
    }

    /// Faults stop: wires are mended, whoever can come back does, and who stands still wakes up in its time.
    pub(crate) fn heal(&mut self) {
        note!(self, "people and faults rest");
        self.is_troubled = false;
        self.network.mend();
        let soon = self.now.plus(Duration::from_millis(50));
        for machine in 0..self.machines.len() {
            let at = soon.max(self.machines[machine].dark_until);
            self.schedule.at(at, Event::BootAgent { machine });
        }
        self.schedule.at(soon, Event::BootServer);
    }
}
