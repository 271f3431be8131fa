//! When an agent falls silent: suspect, then lost, then forgotten. And when not to believe it.

use std::time::Duration;

use kogge_model::id::{AgentId, TaskId};
use kogge_model::reason::Reason;
use kogge_model::scheduler::Event;
use kogge_model::time::Timestamp;

use crate::agent::{Agent, Phase};
use crate::effect::{Effect, Effects};
use crate::explain;
use crate::silences::Silences;
use crate::state::Kernel;
use crate::timer::Timer;

/// Agents whose judgement waits are looked at again on each whole second, all together.
const WAIT_INTERVAL_US: u64 = 1_000_000;

/// How old the knowledge of all silences may be: when thousands fall silent, somebody is judged all the time.
const SILENCES_AGE: Duration = Duration::from_millis(100);

impl Kernel {
    /// This process stood still: silence during that time was its own.
    pub(crate) fn forgive_silence(&mut self) {
        let now = self.now();
        for agent in self.agents.values_mut().filter(|agent| agent.phase != Phase::Lost) {
            agent.last_seen = now;
        }
    }

    pub(crate) fn judge_silence(&mut self, id: &AgentId, effects: &mut Effects) {
        let now = self.now();
        let Some(agent) = self.agents.get(id) else { return };
        let deadline = agent.silence_deadline(&self.config);
        // What was said lately may still wait to be heard.
        let judged_at = deadline.plus(self.unheard);
        if judged_at > now {
            return self.timers.arm(judged_at, Timer::Silence(id.clone()));
        }
        match agent.phase {
            Phase::Ready => self.suspect(id, effects),
            Phase::Suspect | Phase::Expected => {
                let fresh =
                    self.silences.take().filter(|known| now.saturating_since(known.made_at) < SILENCES_AGE);
                let moment = self.config.lost_after;
                let silences = fresh.unwrap_or_else(|| Silences::of(now, moment, self.agents.values()));
                let reason = self.reason_to_wait(agent, &silences);
                self.silences = Some(silences);
                match reason {
                    Some(reason) => self.wait_for(id, reason, effects),
                    None => self.lose(id, effects),
                }
            }
            Phase::Lost => self.forget_agent(id, effects),
        }
    }

    fn suspect(&mut self, id: &AgentId, effects: &mut Effects) {
        self.rescind_agent(id, effects);
        let agent = self.agents.get_mut(id).expect("only known agents are judged");
        agent.phase = Phase::Suspect;
        self.silences = None;
        self.timers.arm(agent.silence_deadline(&self.config), Timer::Silence(id.clone()));
        let text = format!("agent {} is silent since {:?}", agent.info.name, self.config.suspect_after);
        effects.push(explain::about_agent(self.clock.wall(), "suspect", Reason::new(text)));
    }

    fn wait_for(&mut self, id: &AgentId, reason: Reason, effects: &mut Effects) {
        let next = (self.now().as_micros() / WAIT_INTERVAL_US + 1) * WAIT_INTERVAL_US;
        self.timers.arm(Timestamp::from_micros(next), Timer::Silence(id.clone()));
        let agent = self.agents.get_mut(id).expect("only known agents are judged");
        if !std::mem::replace(&mut agent.is_waited_for, true) {
            effects.push(explain::about_agent(self.clock.wall(), "wait", reason));
        }
    }

    /// Why a silent agent should not be given up yet.
    fn reason_to_wait(&self, agent: &Agent, silences: &Silences) -> Option<Reason> {
        let name = &agent.info.name;
        if !silences.is_anybody_ready() {
            // Also keeps tasks untouched while the only agent of a small cloud restarts (G7).
            let text =
                format!("agent {name} is silent, but no agent answers: its tasks could run nowhere else");
            return Some(Reason::new(text));
        }
        if self.now().saturating_since(agent.last_seen) >= self.config.mass_loss.wait {
            return None;
        }
        let text = if self.is_mass_loss(agent, silences) {
            format!("agent {name} fell silent with many others: more likely the network than they")
        } else if self.is_mass_return(silences) {
            format!("agent {name} is silent, but many others are coming back just now: it may be the next")
        } else {
            return None;
        };
        Some(Reason::new(text))
    }

    fn is_mass_loss(&self, agent: &Agent, silences: &Silences) -> bool {
        let guard = &self.config.mass_loss;
        let (silent, all) = silences.together(agent.last_seen, guard.window);
        silent >= guard.at_least && silent * 100 > all * guard.over_percent
    }

    /// The last of very many come late: a hundredth of all within a moment shows that they are still coming.
    fn is_mass_return(&self, silences: &Silences) -> bool {
        let (returning, all) = silences.returning();
        returning >= self.config.mass_loss.at_least && returning * 100 > all
    }

    /// Gives an agent up with its tasks.
    pub(crate) fn lose(&mut self, id: &AgentId, effects: &mut Effects) {
        self.rescind_agent(id, effects);
        let agent = self.agents.get_mut(id).expect("only known agents are judged");
        let silence = self.clock.now().saturating_since(agent.last_seen);
        let reason = Reason::new(format!("agent {} is silent for {} s", agent.info.name, silence.as_secs()));
        agent.phase = Phase::Lost;
        if let Some(silences) = &mut self.silences {
            silences.lose(agent.last_seen);
        }
        self.whole.sub(agent.ledger.total());
        for (_, stray) in std::mem::take(&mut agent.strays) {
            agent.ledger.release(&stray.resources);
        }
        self.timers.arm(agent.silence_deadline(&self.config), Timer::Silence(id.clone()));
        let tasks = agent.tasks.clone();
        for (framework, _) in self.frameworks.iter().filter(|(_, framework)| framework.is_connected) {
            let event = Event::AgentLost { agent: id.clone(), reason: reason.clone() };
            effects.push(Effect::to_framework(framework, event));
        }
        for task in tasks.iter().filter(|task| self.is_live(task)).cloned().collect::<Vec<_>>() {
            self.give_up_in_time(&task, reason.clone(), effects);
        }
        for task in &tasks {
            self.settle_order(task);
        }
        effects.push(explain::about_agent(self.clock.wall(), "lost", reason));
    }

    fn is_live(&self, task: &TaskId) -> bool {
        self.tasks.get(task).is_some_and(|task| task.record.is_live())
    }

    /// Nobody expects it back: it has been lost for so long, or an operator said so.
    pub(crate) fn forget_agent(&mut self, id: &AgentId, effects: &mut Effects) {
        let tasks = self.agents[id].tasks.clone();
        for task in tasks {
            if self.tasks.get(&task).is_some_and(|task| task.record.is_given_up()) {
                self.forget(&task, effects);
            }
        }
        self.agents.remove(id);
        self.to_offer.remove(id);
        effects.push(Effect::ForgetAgent(id.clone()));
    }
}
