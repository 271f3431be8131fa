//! Machines in their world: what agents ask for happens to faked containers.

use std::time::Duration;

use kogge_model::id::TaskId;
use kogge_model::link::{FromAgent, FromControl, ToControl};
use kogge_model::task::Exit;
use kogge_node::{self as node, Effect, StopSignal};

use crate::behaviour::Behaviour;
use crate::container::{Container, State};
use crate::network::Way;
use crate::world::{Change, Event, World, note};

impl World {
    pub(crate) fn boot_agent(&mut self, index: usize) {
        let machine = &mut self.machines[index];
        if machine.node.is_some() || machine.is_gone {
            return;
        }
        let seed = self.chances.cores.seed();
        let inputs = machine.boot_agent(seed);
        note!(self, "m{index}: agent starts, {} tasks to look at", inputs.len() - 1);
        for input in inputs {
            self.tell_node(index, input);
        }
    }

    pub(crate) fn hear_server(&mut self, index: usize, message: FromControl) {
        self.tell_node(index, node::Input::FromControl(message));
    }

    /// Tells an agent something and does what it asks for, in order; its process may die on the way.
    pub(crate) fn tell_node(&mut self, index: usize, input: node::Input) {
        let machine = &mut self.machines[index];
        if machine.node.is_none() {
            return;
        }
        if machine.paused_until > self.now {
            if input != node::Input::Tick {
                machine.unread.push_back(input);
            }
            return;
        }
        while let Some(earlier) = self.machines[index].unread.pop_front() {
            self.tell_awake_node(index, earlier);
        }
        self.tell_awake_node(index, input);
    }

    fn tell_awake_node(&mut self, index: usize, input: node::Input) {
        let (now, clock) = (self.now, self.machines[index].clock(self.now));
        let Some(agent) = &mut self.machines[index].node else { return };
        if matches!(input, node::Input::LinkUp | node::Input::LinkDown | node::Input::SessionBegun) {
            self.trace.note(now, &format_args!("m{index}: {input:?}"));
        }
        let mut effects = Vec::new();
        agent.handle(clock, input, &mut effects);
        let crash = if effects.is_empty() { None } else { self.crash_point(effects.len()) };
        let steps = crash.unwrap_or(effects.len());
        for effect in effects.into_iter().take(steps) {
            self.perform(index, effect);
        }
        if crash.is_some() {
            let down = self.chances.crash_points.millis(10, 4_000);
            self.crash_agent(index, down);
        }
    }

    pub(crate) fn crash_agent(&mut self, index: usize, down: Duration) {
        if self.machines[index].node.is_none() {
            return;
        }
        self.tally.faults += 1;
        note!(self, "m{index}: agent dies");
        let chance = &mut self.chances.containers;
        self.machines[index].crash_agent(self.now, || chance.is(500));
        let fresh: Vec<TaskId> = self.machines[index]
            .containers
            .iter()
            .filter(|(_, container)| container.is_running())
            .map(|(task, _)| task.clone())
            .collect();
        for task in fresh {
            self.checks.after_start(&task);
            self.checks.is_single(&self.machines, index, &task);
        }
        self.schedule.at(self.now.plus(down), Event::BootAgent { machine: index });
    }

    fn perform(&mut self, index: usize, effect: Effect) {
        match effect {
            Effect::SaveAgent(_) | Effect::Save(_) | Effect::Forget(_) => {
                self.machines[index].write(effect);
                if self.chances.containers.is(200) {
                    self.machines[index].sync();
                }
            }
            Effect::Start { run, spec } => self.start(index, run, spec),
            Effect::Lease { task, until } => {
                let now = self.machines[index].clock(self.now);
                let until = self.sabotage.twist_lease(now, until, self.machines[index].lease_of(&task));
                self.machines[index].leases.insert(task.clone(), until);
                self.keep_lease(index, &task);
            }
            Effect::CancelStart(task) => {
                if let Some(container) = self.machines[index].containers.get_mut(&task)
                    && let State::Starting { is_cancelled } = &mut container.state
                {
                    *is_cancelled = true;
                }
            }
            Effect::Signal { task, signal } => self.signal(index, &task, signal),
            Effect::MakeSure(task) => {
                // Nothing runs any more; that there was a supervisor can still be seen.
                if let Some(container) = self.machines[index].containers.get_mut(&task) {
                    container.has_shim = false;
                    container.state = State::Exited { exit: Exit::Signal { signal: 9 }, at: self.now };
                }
                self.answer(index, 1, 300, node::Input::Gone { task });
            }
            Effect::Release(_) => {}
            Effect::Collect(task) => {
                self.machines[index].containers.remove(&task);
                self.answer(index, 1, 100, node::Input::Collected { task });
            }
            Effect::Probe { task, number, timeout, .. } => self.probe(index, task, number, timeout),
            Effect::Send(body) => self.send_to_server(index, body),
            Effect::Explain(decision) => {
                let task = decision.task.as_ref().map(|task| format!(" [{task}]")).unwrap_or_default();
                note!(self, "m{index}: {}{task}: {}", decision.verb, decision.reason);
            }
        }
    }

    /// The agent process that asks now gets an answer after a while.
    fn answer(&mut self, machine: usize, low_ms: u64, high_ms: u64, input: node::Input) {
        let process = self.machines[machine].process;
        let time = self.chances.containers.millis(low_ms, high_ms);
        self.schedule.at(self.now.plus(time), Event::ToNode { machine, process, input });
    }

    fn start(
        &mut self,
        index: usize,
        run: kogge_model::id::RunId,
        spec: std::sync::Arc<kogge_model::task::TaskSpec>,
    ) {
        self.checks.before_start(index, run, &spec);
        self.tally.starts += 1;
        let task = spec.task.clone();
        let container = Container::new(run, spec);
        let (low, high) = match container.behaviour {
            Behaviour::Slow => (1_500, 6_000),
            _ => (5, 400),
        };
        let time = self.chances.containers.millis(low, high);
        self.machines[index].containers.insert(task.clone(), container);
        self.schedule_change(index, task.clone(), time, Change::Started);
        self.keep_lease(index, &task);
        self.checks.machine(&self.machines[index]);
    }

    /// The supervisor, if there is one, hears of the newest lease.
    fn keep_lease(&mut self, index: usize, task: &TaskId) {
        let machine = &mut self.machines[index];
        let Some(until) = machine.leases.get(task).map(|until| machine.truly(*until)) else { return };
        let Some(container) = machine.containers.get_mut(task).filter(|container| container.is_present())
        else {
            return;
        };
        if container.lease_until.is_some_and(|known| known <= self.now) {
            return;
        }
        let until = container.lease_until.map_or(until, |known| known.max(until));
        container.lease_until = Some(until);
        self.schedule_change(index, task.clone(), until.saturating_since(self.now), Change::LeaseEnds);
    }

    fn schedule_change(&mut self, machine: usize, task: TaskId, time: Duration, change: Change) {
        let boot = self.machines[machine].boot;
        self.schedule.at(self.now.plus(time), Event::Container { machine, boot, task, change });
    }

    fn signal(&mut self, index: usize, task: &TaskId, signal: StopSignal) {
        let is_untouchable = self.untouchable.contains(task) && !self.has_moved(task);
        let Some(container) = self.machines[index].containers.get_mut(task) else { return };
        // Whose lease is over ends for that, as its owner asked for.
        let is_lease_over = container.lease_until.is_some_and(|until| until <= self.now);
        if is_untouchable && !is_lease_over {
            self.checks.killed_by_absence(task);
        }
        if !container.is_running() || !container.has_shim {
            return;
        }
        container.is_asked_to_end = true;
        let (low, high, number) = match signal {
            StopSignal::Stop if container.behaviour == Behaviour::Stubborn => return,
            StopSignal::Stop => (5, 1_500, 15),
            StopSignal::Kill => (1, 20, 9),
        };
        let time = self.chances.containers.millis(low, high);
        self.schedule_change(index, task.clone(), time, Change::Obeys { signal: number });
    }

    fn probe(&mut self, index: usize, task: TaskId, number: u64, timeout: Duration) {
        let is_healthy = self.machines[index]
            .containers
            .get(&task)
            .is_some_and(|container| container.is_healthy(self.now));
        let high = u64::try_from(timeout.as_millis()).unwrap_or(1_000);
        let high = if is_healthy { high.min(50) } else { high };
        let result = if is_healthy { Ok(()) } else { Err("no answer".into()) };
        self.answer(index, 1, high, node::Input::ProbeResult { task, number, result });
    }

    fn send_to_server(&mut self, machine: usize, body: ToControl) {
        for delay in self.network.deliveries(self.now, machine, Way::ToServer) {
            let (agent, boot) = (self.machines[machine].id(), self.machines[machine].boot);
            let message = FromAgent { agent, body: body.clone() };
            self.schedule.at(self.now.plus(delay), Event::ToServer { machine, boot, message });
        }
    }

    pub(crate) fn change_container(&mut self, index: usize, task: &TaskId, change: Change) {
        let Some(container) = self.machines[index].containers.get_mut(task) else { return };
        match (change, container.state) {
            (Change::Started, State::Starting { is_cancelled }) => self.come_up(index, task, is_cancelled),
            (Change::Ends { code }, State::Running { .. }) => self.exit(index, task, Exit::Code { code }),
            (Change::Obeys { signal }, State::Running { .. }) => {
                self.exit(index, task, Exit::Signal { signal })
            }
            (Change::LeaseEnds, State::Running { .. })
                if container.lease_until.is_some_and(|until| until <= self.now)
                    && !self.sabotage.lets_leases_pass() =>
            {
                let process = self.machines[index].process;
                let input = node::Input::LeaseEnded { task: task.clone() };
                self.schedule.at(self.now, Event::ToNode { machine: index, process, input });
                self.exit(index, task, Exit::Signal { signal: 9 });
            }
            _ => {}
        }
    }

    fn come_up(&mut self, index: usize, task: &TaskId, is_cancelled: bool) {
        let now = self.now;
        let is_given_up = is_cancelled && self.chances.containers.is(500);
        let Some(container) = self.machines[index].containers.get_mut(task) else { return };
        let is_stopped = is_given_up || container.lease_until.is_some_and(|until| until <= now);
        let behaviour = container.behaviour;
        if is_stopped || !behaviour.can_start() {
            let reason = if is_stopped { "cancelled" } else { "the image is broken" };
            let is_permanent = !is_stopped && behaviour == Behaviour::Rejected;
            self.machines[index].containers.remove(task);
            let input = node::Input::StartFailed { task: task.clone(), reason: reason.into(), is_permanent };
            return self.answer(index, 0, 1, input);
        }
        container.run(now);
        container.healthy_from = now.plus(self.chances.containers.millis(0, 2_000));
        let State::Running { pid, started_at } = container.state else { return };
        self.checks.after_start(task);
        self.checks.is_single(&self.machines, index, task);
        let ip = std::net::IpAddr::from([172, 16, 0, 2]);
        self.answer(index, 0, 1, node::Input::Started { task: task.clone(), pid, started_at, ip });
        if behaviour == Behaviour::Crashes {
            let time = self.chances.containers.millis(50, 1_500);
            self.schedule_change(index, task.clone(), time, Change::Ends { code: 1 });
        }
    }

    /// The process is over; its supervisor tells the agent, or leaves word for the next one.
    pub(crate) fn exit(&mut self, index: usize, task: &TaskId, exit: Exit) {
        let at = self.now;
        let Some(container) = self.machines[index].containers.get_mut(task) else { return };
        container.state = State::Exited { exit, at };
        if container.has_shim {
            let input = node::Input::Exited { task: task.clone(), exit, at, oom_kills: 0 };
            self.answer(index, 0, 1, input);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sabotage::Trick;
    use crate::scenario::Scenario;

    #[test]
    fn an_agent_that_stood_still_hears_what_came_meanwhile_in_order() {
        let mut world = World::new(&Scenario::draw(1), Trick::None);
        world.heal();
        world.run_until(world.now.plus(Duration::from_secs(5)));
        let is_registered =
            |world: &World| world.machines[0].node.as_ref().is_some_and(|it| it.is_registered());
        assert!(is_registered(&world));

        let (soon, later) =
            (world.now.plus(Duration::from_millis(100)), world.now.plus(Duration::from_millis(200)));
        world.machines[0].paused_until = soon;
        world.tell_node(0, node::Input::LinkDown);
        let (machine, process, input) = (0, world.machines[0].process, node::Input::LinkUp);
        world.schedule.at(later, Event::ToNode { machine, process, input });
        world.machines[0].paused_until = later;
        world.run_until(world.now.plus(Duration::from_secs(10)));
        assert!(is_registered(&world), "its link came up last");
    }
}
