//! What an operator says of an agent: drain it, use it again, label it, keep part of it back, forget it.

use kogge_model::id::AgentId;
use kogge_model::reason::Reason;
use kogge_model::scheduler::{Event, InverseOffer};

use crate::agent::{Agent, Phase};
use crate::effect::{Effect, Effects};
use crate::explain;
use crate::rules::Instruction;
use crate::state::Kernel;

impl Kernel {
    pub(crate) fn instruct(&mut self, id: &AgentId, instruction: &Instruction, effects: &mut Effects) {
        let at = self.clock.wall();
        let Some(agent) = self.agents.get(id) else {
            let reason = Reason::new(format!("an operator spoke of agent {id}, which is not known"));
            return effects.push(explain::about_agent(at, "refuse", reason));
        };
        if *instruction == Instruction::Forget {
            return self.forget_on_demand(id, effects);
        }
        let (info, rules) = (agent.info.clone(), agent.rules.after(at, instruction));
        if rules == agent.rules {
            return;
        }
        let has_drain_changed = rules.drain != agent.rules.drain;
        effects.push(explain::about_agent(at, word(instruction), told(agent, instruction)));
        self.rescind_agent(id, effects);
        let agent = self.agents.get_mut(id).expect("it was just seen");
        let is_counted = agent.phase != Phase::Lost;
        if is_counted {
            self.whole.sub(agent.ledger.total());
        }
        agent.become_of(info, rules);
        if is_counted {
            self.whole.add(agent.ledger.total());
        }
        effects.push(Effect::SaveAgent(Box::new(agent.record())));
        let is_usable = agent.phase == Phase::Ready && !agent.takes_nothing();
        self.to_offer.insert(id.clone());
        if has_drain_changed {
            self.tell_all(&self.inverse_offers(), effects);
        }
        if is_usable {
            self.tell_ready(id, effects);
        }
    }

    /// All agents whose resources are wanted back.
    pub(crate) fn inverse_offers(&self) -> Event {
        let draining = self.agents.values().filter_map(|agent| {
            let drain = agent.rules.drain.as_ref()?;
            let reason = match drain.reason.text.as_str() {
                "" => format!("agent {} is drained", agent.info.name),
                text => format!("agent {} is drained: {text}", agent.info.name),
            };
            Some(InverseOffer { agent: agent.id().clone(), reason: reason.into() })
        });
        Event::InverseOffers(draining.collect())
    }

    /// Frameworks may find room on an agent that they had no reason to look for before.
    pub(crate) fn tell_ready(&self, id: &AgentId, effects: &mut Effects) {
        let Some(agent) = self.agents.get(id).filter(|agent| !agent.takes_nothing()) else { return };
        self.tell_all(
            &Event::AgentReady { agent: id.clone(), attributes: agent.attributes.clone() },
            effects,
        );
    }

    fn tell_all(&self, event: &Event, effects: &mut Effects) {
        for (framework, _) in self.frameworks.iter().filter(|(_, framework)| framework.is_connected) {
            effects.push(Effect::to_framework(framework, event.clone()));
        }
    }

    /// Only of an agent that is given up, or whose judgement waits, is it certain that it does not use its record.
    fn forget_on_demand(&mut self, id: &AgentId, effects: &mut Effects) {
        let agent = &self.agents[id];
        let is_forgettable = agent.is_forgettable();
        let (phase, name, was_draining) = (agent.phase, agent.info.name.clone(), agent.is_draining());
        let at = self.clock.wall();
        if !is_forgettable {
            let text = format!("agent {name} is {} and cannot be forgotten", phase.word());
            return effects.push(explain::about_agent(at, "refuse", Reason::new(text)));
        }
        if phase != Phase::Lost {
            self.lose(id, effects);
        }
        self.forget_agent(id, effects);
        let text = format!("agent {name} was forgotten by an operator");
        effects.push(explain::about_agent(at, "forget", Reason::new(text)));
        if was_draining {
            self.tell_all(&self.inverse_offers(), effects);
        }
    }
}

const fn word(instruction: &Instruction) -> &'static str {
    match instruction {
        Instruction::Drain(_) => "drain",
        Instruction::Undrain => "undrain",
        Instruction::Label(_) => "label",
        Instruction::Reserve(_) => "reserve",
        Instruction::Forget => "forget",
    }
}

fn told(agent: &Agent, instruction: &Instruction) -> Reason {
    let name = &agent.info.name;
    match instruction {
        Instruction::Drain(reason) if reason.text.is_empty() => format!("agent {name} is drained"),
        Instruction::Drain(reason) => format!("agent {name} is drained: {reason}"),
        Instruction::Undrain => format!("agent {name} may be used again"),
        Instruction::Label(labels) => {
            let pair = |(key, value): (&String, &Option<String>)| match value {
                Some(value) => format!("{key}={value}"),
                None => format!("{key}-"),
            };
            let labels: Vec<String> = labels.iter().map(pair).collect();
            format!("agent {name} is labelled {}", labels.join(" "))
        }
        Instruction::Reserve(reserved) => format!("of agent {name}, {reserved} are not offered"),
        Instruction::Forget => format!("agent {name} is forgotten"),
    }
    .into()
}
