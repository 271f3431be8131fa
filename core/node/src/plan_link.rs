//! The relation to control: registration, signs of life, whose orders count.

use std::time::Duration;

use kogge_model::id::{ClusterId, Term};
use kogge_model::link::{FromControl, ToAgent, ToControl};
use kogge_model::reason::Reason;
use kogge_model::time::Timestamp;

use crate::effect::{Effect, Effects};
use crate::explain;
use crate::node::Node;

/// Where the agent stands with control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// Nothing gets through.
    Away,
    /// Not accepted yet; the registration goes out again at `due`.
    Registering { due: Timestamp, wait: Duration },
    /// Accepted; the next sign of life is due then.
    Registered { heartbeat_due: Timestamp },
}

/// An order of somebody who has no say here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    cluster: ClusterId,
    term: Term,
}

impl Link {
    pub(crate) const fn is_registered(&self) -> bool {
        matches!(self, Self::Registered { .. })
    }

    pub(crate) const fn due(&self) -> Option<Timestamp> {
        match self {
            Self::Away => None,
            Self::Registering { due, .. } | Self::Registered { heartbeat_due: due } => Some(*due),
        }
    }
}

impl Node {
    pub(crate) fn connect(&mut self, now: Timestamp) {
        self.link = Link::Registering { due: now, wait: self.config.register_first };
    }

    /// Whoever listens now may not know this agent, and is not made to ask: thousands of agents come at once to a new
    /// leader. Before it is known what runs here, nothing is said.
    pub(crate) fn introduce(&mut self, now: Timestamp) {
        if self.link != Link::Away {
            self.connect(now);
        }
    }

    /// Control places nothing here while there is a reason against it.
    pub(crate) fn close(&mut self, now: Timestamp, why: Option<Reason>, effects: &mut Effects) {
        if self.config.info.closed == why {
            return;
        }
        let told = why.clone().unwrap_or_else(|| Reason::new("there is room again"));
        effects.push(explain::of_machine(now, if why.is_some() { "close" } else { "open" }, told));
        self.config.info.closed = why;
        self.introduce(now);
    }

    /// Obeys `message` if its sender has a say here (G4).
    pub(crate) fn hear(&mut self, now: Timestamp, message: FromControl, effects: &mut Effects) {
        if let Some(reason) = self.refusal(&message) {
            let refusal = Refusal { cluster: message.cluster, term: message.term };
            if self.last_refusal.as_ref() != Some(&refusal) {
                effects.push(explain::of_machine(now, "refuse", reason));
                self.last_refusal = Some(refusal);
            }
            return;
        }
        if self.agent.cluster.is_none() || message.term > self.agent.term {
            self.agent.cluster = Some(message.cluster);
            self.agent.term = message.term;
            effects.push(Effect::SaveAgent(self.agent.clone()));
        }
        match message.body {
            ToAgent::Registered => self.registered(now),
            ToAgent::Unknown => self.unknown(now),
            ToAgent::Launch { run, spec } if self.link.is_registered() => {
                self.launch(now, run, spec, effects);
            }
            // Who says this has not yet heard what is here: it may be about a task that ended, and was forgotten since.
            ToAgent::Launch { .. } => {}
            ToAgent::Kill { task, run, grace_ms, reason } => {
                self.kill(now, (&task, run), grace_ms, &reason, effects);
            }
            ToAgent::Acknowledge { task, run, sequence } => {
                self.acknowledge(now, (&task, run), sequence, effects);
            }
            ToAgent::GrantLease { task, run, ticket } => self.lease_granted((&task, run), ticket, effects),
        }
    }

    /// Why the sender of `message` has no say here, if so.
    fn refusal(&self, message: &FromControl) -> Option<Reason> {
        let Some(own) = &self.agent.cluster else {
            let is_acceptance = matches!(message.body, ToAgent::Registered);
            let why = "ignored an order: this agent belongs to no cluster until its registration is accepted";
            return (!is_acceptance).then(|| Reason::new(why));
        };
        if *own != message.cluster {
            let text =
                format!("ignored an order of cluster {}: this agent belongs to {own}", message.cluster);
            return Some(
                Reason::new(text).with_hint("give the agent a new data directory to join another cluster"),
            );
        }
        (message.term < self.agent.term).then(|| {
            let text = format!("ignored an order of term {}: term {} leads", message.term, self.agent.term);
            Reason::new(text)
        })
    }

    fn registered(&mut self, now: Timestamp) {
        if matches!(self.link, Link::Registering { .. }) {
            self.link = Link::Registered { heartbeat_due: now.plus(self.config.heartbeat) };
            self.resend_all(now);
            self.ask_all_leases(now);
        }
    }

    fn unknown(&mut self, now: Timestamp) {
        if self.link.is_registered() {
            self.connect(now);
        }
    }

    /// Sends what keeps the link alive, if due.
    pub(crate) fn keep_link(&mut self, now: Timestamp, effects: &mut Effects) {
        match &mut self.link {
            Link::Registering { due, wait } if *due <= now => {
                *due = now.plus(self.chance.sends.shorten(*wait));
                *wait = (*wait * 2).min(self.config.register_max);
                effects.push(Effect::Send(self.registration()));
            }
            Link::Registered { heartbeat_due } if *heartbeat_due <= now => {
                *heartbeat_due = now.plus(self.config.heartbeat);
                effects.push(Effect::Send(ToControl::Heartbeat));
            }
            Link::Away | Link::Registering { .. } | Link::Registered { .. } => {}
        }
    }

    fn registration(&self) -> ToControl {
        let told = self.tasks.values().filter(|task| !(task.is_ended() && task.is_acknowledged));
        let living = self.tasks.values().filter(|task| !task.is_ended());
        ToControl::Register {
            info: self.config.info.clone(),
            cluster: self.agent.cluster.clone(),
            term: self.agent.term,
            tasks: told.map(|task| task.status(&self.config.info.agent)).collect(),
            held: living.map(|task| (task.id.clone(), task.known_spec().resources.clone())).collect(),
        }
    }
}
