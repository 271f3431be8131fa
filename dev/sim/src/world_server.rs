//! The server in its world: persist, then send, and what happens when it dies in between.

use std::collections::BTreeSet;
use std::time::Duration;

use kogge_kernel as kernel;
use kogge_model::id::TaskId;
use kogge_model::link::{FromAgent, FromControl, ToAgent, ToControl};
use kogge_node as node;
use kogge_services::{self as services, Instance};

use crate::behaviour::Behaviour;
use crate::network::Way;
use crate::people;
use crate::server::{Round, Server, Watchers, Word};
use crate::world::{Event, World, note};

/// From a commit to the words that follow from it, at most.
const COMMIT_MS: u64 = 4;

impl World {
    pub(crate) fn boot_server(&mut self) {
        if self.server.is_some() {
            return;
        }
        self.store.term += 1;
        let seed = self.chances.cores.seed();
        self.checks.server_boots(&self.store);
        let times = (self.now, self.sabotage.steady(self.now));
        self.machines.iter_mut().for_each(|machine| machine.session = None);
        match Server::boot(times, self.cluster.clone(), seed, &self.store) {
            Ok(server) => self.server = Some(server),
            Err(error) => return self.checks.fail(format!("restart: the server cannot take over: {error}")),
        }
        note!(self, "server: leads term {}", self.store.term);
        self.serve(|server, now, round, watchers| server.greet(now, round, watchers));
        self.begin_sessions();
    }

    /// Agents find the new leader, each in its own time; some learn of it only by what it answers.
    fn begin_sessions(&mut self) {
        for machine in 0..self.machines.len() {
            if self.chances.faults.is(700) {
                let (at, process) =
                    (self.now.plus(self.chances.faults.millis(1, 3_000)), self.machines[machine].process);
                let input = node::Input::SessionBegun;
                self.schedule.at(at, Event::ToNode { machine, process, input });
            }
        }
    }

    pub(crate) fn crash_server(&mut self, down: Duration) {
        if self.server.take().is_some() {
            self.tally.faults += 1;
            note!(self, "server: dies");
            self.schedule.at(self.now.plus(down), Event::BootServer);
        }
    }

    /// One round: decide, commit, send.
    pub(crate) fn serve(
        &mut self,
        act: impl FnOnce(&mut Server, kogge_model::time::Timestamp, &mut Round, &mut Watchers<'_>),
    ) {
        let Some(mut server) = self.server.take() else { return };
        let mut round = Round::default();
        let mut watchers = Watchers { checks: &mut self.checks, sabotage: &mut self.sabotage };
        act(&mut server, self.now, &mut round, &mut watchers);
        server.tick(self.now, &mut round, &mut watchers);
        self.server = Some(server);
        self.sabotage.twist_outbox(&mut round.outbox);
        for text in &round.notes {
            note!(self, "{text}");
            self.tally.rollbacks += u64::from(text.contains("roll ") && text.contains("(false)"));
            self.tally.moves += u64::from(text.starts_with("services: move "));
        }
        self.finish(round);
    }

    fn finish(&mut self, round: Round) {
        let steps = round.writes.len() + round.outbox.len();
        let crash = if steps == 0 { None } else { self.crash_point(steps) };
        let committed = crash.map_or(round.writes.len(), |point| point.min(round.writes.len()));
        let sent = crash.map_or(round.outbox.len(), |point| point.saturating_sub(round.writes.len()));
        for write in round.writes.into_iter().take(committed) {
            self.store.apply(write);
        }
        let commit = self.chances.faults.millis(0, COMMIT_MS);
        for (agent, body) in round.outbox.into_iter().take(sent) {
            self.send_to_agent(&agent, body, commit);
        }
        if let Some(point) = crash {
            note!(self, "server: crash point at step {point} of {steps}");
            let down = self.chances.crash_points.millis(10, 4_000);
            return self.crash_server(down);
        }
        for task in round.draining {
            let time = self.chances.containers.millis(0, 5_000);
            self.schedule.at(self.now.plus(time), Event::Drained(task));
        }
        if let Some(reason) = round.stepped_down {
            note!(self, "server: steps down: {reason}");
            self.crash_server(Duration::from_millis(100));
        }
    }

    fn send_to_agent(&mut self, agent: &kogge_model::id::AgentId, body: ToAgent, commit: Duration) {
        let Some(machine) = self.machine_of(agent) else { return };
        let Some(server) = &self.server else { return };
        let message = FromControl { cluster: server.cluster.clone(), term: server.term, body };
        let boot = self.machines[machine].session.unwrap_or(self.machines[machine].boot);
        let arrivals = self.network.deliveries(self.now, machine, Way::ToAgent);
        note!(self, "server → m{machine} ({}): {}", arrivals.len(), word(&message.body));
        for delay in arrivals {
            let event = Event::ToAgent { machine, boot, message: message.clone() };
            self.schedule.at(self.now.plus(commit + delay), event);
        }
    }

    pub(crate) fn tick_server(&mut self) {
        self.serve(|_, _, _, _| {});
    }

    pub(crate) fn hear_agent(&mut self, machine: usize, boot: u32, message: FromAgent) {
        if self.server.is_some() && self.server_paused_until > self.now {
            let event = Event::ToServer { machine, boot, message };
            return self.schedule.at(self.server_paused_until, event);
        }
        if self.server.is_some() {
            self.machines[machine].session = Some(boot);
        }
        if !matches!(message.body, ToControl::Heartbeat) {
            note!(self, "{} → server: {}", message.agent, word_of_agent(&message.body));
        }
        self.serve(|server, now, round, watchers| {
            server.converse(now, Word::Kernel(kernel::Input::FromAgent(message)), round, watchers);
        });
    }

    pub(crate) fn drained(&mut self, task: TaskId) {
        self.serve(|server, now, round, watchers| {
            server.converse(now, Word::Services(services::Input::Drained { task }), round, watchers);
        });
    }

    pub(crate) fn command(&mut self) {
        if !self.is_troubled {
            return;
        }
        let mean = u64::try_from(self.scenario.command_every.as_millis()).unwrap_or(u64::MAX);
        let next = self.chances.people.millis(0, mean * 2);
        self.schedule.at(self.now.plus(next), Event::Command);
        let Some(server) = &self.server else { return };
        if self.server_paused_until > self.now {
            return;
        }
        let (text, wishes) = people::command(&mut self.chances.people, &self.scenario, &server.tree.services);
        self.tally.commands += 1;
        note!(self, "people: {text}");
        self.serve(|server, now, round, watchers| server.change_tree(now, wishes, round, watchers));
    }

    /// Tasks of services that are as they should be: good, healthy, of the wanted version.
    fn content(&self) -> BTreeSet<TaskId> {
        let Some(server) = &self.server else { return BTreeSet::new() };
        let is_content = |instance: &&Instance| {
            let spec = server.tree.services.get(&instance.id.service);
            spec.is_some_and(|spec| {
                Behaviour::of(&spec.template).is_good() && spec.template.digest() == instance.version
            }) && instance.is_healthy()
        };
        let content = server.instances.values().filter(is_content);
        content.filter_map(|instance| Some(instance.attempt()?.task.clone())).collect()
    }

    /// Whether a task was told to end because another agent had fewer of its kind, and not for being forgotten.
    pub(crate) fn has_moved(&self, task: &TaskId) -> bool {
        let instances = self.server.iter().flat_map(|server| server.instances.values());
        let mut attempts = instances.filter_map(Instance::attempt);
        let attempt = attempts.find(|attempt| attempt.task == *task);
        let moving = attempt.and_then(|attempt| attempt.moving.as_ref());
        moving.is_some_and(|moving| moving.cause == services::MoveCause::Balance)
    }

    /// The store loses what `amnesia` says, and a server takes over from the rest.
    pub(crate) fn forget(&mut self, amnesia: crate::scenario::Amnesia) {
        use crate::scenario::Amnesia;
        note!(self, "store: forgets ({amnesia:?})");
        self.untouchable = self.content();
        let term = self.store.term;
        match amnesia {
            Amnesia::Cluster => {
                self.store = crate::store::Store::default();
                self.cluster = kogge_model::id::ClusterId::new("sim-2");
            }
            Amnesia::Records => self.store = crate::store::Store { term, ..Default::default() },
            Amnesia::Tree => self.store.tree = crate::store::Tree::default(),
            Amnesia::Kernel => {
                self.store.tasks.clear();
                self.store.agents.clear();
                self.store.frameworks.clear();
                self.store.highest_run = kogge_model::id::RunId::default();
            }
            Amnesia::Services => {
                self.store.instances.clear();
                self.store.services.clear();
                self.store.tree = crate::store::Tree::default();
            }
        }
        self.server = None;
        self.schedule.at(self.now.plus(Duration::from_millis(500)), Event::BootServer);
    }
}

fn word(message: &ToAgent) -> String {
    match message {
        ToAgent::Registered => "registered".into(),
        ToAgent::Unknown => "who are you".into(),
        ToAgent::Launch { run, spec } => format!("launch {} as run {run}", spec.task),
        ToAgent::Kill { task, run, grace_ms, reason } => {
            format!("kill {task} of run {run} within {grace_ms:?} ms: {reason}")
        }
        ToAgent::GrantLease { task, .. } => format!("grant a lease to {task}"),
        ToAgent::Acknowledge { task, sequence, .. } => format!("acknowledge {task} {sequence}"),
    }
}

fn word_of_agent(message: &ToControl) -> String {
    match message {
        ToControl::Register { tasks, term, .. } => {
            let tasks: Vec<String> = tasks
                .iter()
                .map(|status| format!("{}:{}:{}", status.task, status.sequence, status.state.word()))
                .collect();
            format!("register in term {term} with {}", tasks.join(" "))
        }
        ToControl::Status(status) => {
            let health = match &status.state {
                kogge_model::task::TaskState::Running(running) => format!(" {:?}", running.health),
                _ => String::new(),
            };
            format!(
                "status {} of {} (run {}): {}{health}: {}",
                status.sequence,
                status.task,
                status.run,
                status.state.word(),
                status.reason
            )
        }
        ToControl::AskLease { task, .. } => format!("asks for a lease of {task}"),
        ToControl::Heartbeat => "heartbeat".into(),
    }
}
