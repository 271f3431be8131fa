//! Why the kernel did or did not do something, in words for people (G23).

use kogge_model::decision::Decision;
use kogge_model::id::{AgentId, FrameworkId, TaskId};
use kogge_model::reason::Reason;
use kogge_model::resources::Resources;
use kogge_model::task::TaskSpec;
use kogge_model::time::Timestamp;

use crate::agent::{Agent, Phase};
use crate::effect::{Effect, Effects};
use crate::state::Kernel;

/// A decision about a task.
pub(crate) fn about(at: Timestamp, spec: &TaskSpec, verb: &str, reason: Reason) -> Effect {
    Effect::Explain(Decision {
        at,
        service: spec.instance.as_ref().map(|instance| instance.service.clone()),
        instance: spec.instance.as_ref().map(|instance| instance.number),
        task: Some(spec.task.clone()),
        verb: verb.to_owned(),
        reason,
    })
}

/// A decision about an agent; its name stands in the reason.
pub(crate) fn about_agent(at: Timestamp, verb: &str, reason: Reason) -> Effect {
    Effect::Explain(Decision { at, service: None, instance: None, task: None, verb: verb.to_owned(), reason })
}

/// A task runs that no record speaks of.
pub(crate) fn about_stray(at: Timestamp, agent: &str, task: &TaskId) -> Effect {
    let text = format!("agent {agent} runs task {task}, of which there is no record: it is left alone");
    Effect::Explain(Decision {
        at,
        service: None,
        instance: None,
        task: Some(task.clone()),
        verb: "keep".into(),
        reason: Reason::new(text).with_hint("if nobody wants it, end it with an explicit kill of this task"),
    })
}

/// What of `need` is not in `left`.
pub(crate) fn misfit(need: &Resources, left: &Resources) -> Reason {
    let mut lacks = Vec::new();
    if need.cpu_millis > left.cpu_millis {
        lacks.push(format!("{} cpus are asked for, {} are left", need.cpu_millis, left.cpu_millis));
    }
    if need.mem_bytes > left.mem_bytes {
        lacks.push(format!("{} of memory are asked for, {} are left", need.mem_bytes, left.mem_bytes));
    }
    if need.disk_bytes > left.disk_bytes {
        lacks.push(format!("{} of disk are asked for, {} are left", need.disk_bytes, left.disk_bytes));
    }
    let missing: Vec<String> =
        need.ports.iter().filter(|port| !left.ports.contains(*port)).map(|port| port.to_string()).collect();
    if !missing.is_empty() {
        lacks.push(format!("host port {} is not left", missing.join(", ")));
    }
    Reason::new(lacks.join("; "))
}

/// Why a task of this size is not offered a place now: what stands against each agent, most frequent first.
pub(crate) fn no_place(kernel: &Kernel, framework: &FrameworkId, need: &Resources) -> Reason {
    if kernel.agents.is_empty() {
        return Reason::new("there is no agent").with_hint("start one with `kogge agent`");
    }
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for agent in kernel.agents.values() {
        *counts.entry(obstacle(kernel, agent, framework, need)).or_insert(0) += 1;
    }
    let mut parts: Vec<_> = counts.into_iter().collect();
    parts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let parts: Vec<String> = parts
        .into_iter()
        .map(|(text, count)| format!("{count} {} {text}", if count == 1 { "agent" } else { "agents" }))
        .collect();
    Reason::new(parts.join("; "))
}

fn obstacle(kernel: &Kernel, agent: &Agent, framework: &FrameworkId, need: &Resources) -> String {
    match agent.phase {
        Phase::Expected => return "not back yet".into(),
        Phase::Suspect => return "silent".into(),
        Phase::Lost => return "lost".into(),
        Phase::Ready => {}
    }
    if agent.is_draining() {
        return "being drained".into();
    }
    if let Some(why) = &agent.info.closed {
        return format!("closed ({why})");
    }
    if agent.ledger.is_over_committed() {
        return "with less than its tasks hold".into();
    }
    let holder = agent.offers.iter().find_map(|offer| kernel.offers.get(offer));
    if let Some(holder) = holder.filter(|open| open.framework != *framework) {
        return format!("on offer to framework {}", holder.framework);
    }
    let mut room = agent.ledger.free();
    for open in agent.offers.iter().filter_map(|offer| kernel.offers.get(offer)) {
        room.give_back(&open.resources);
    }
    if !agent.ledger.total().contains(need) {
        "too small even when empty".into()
    } else if room.contains(need) {
        "with room".into()
    } else {
        "too full".into()
    }
}

impl Kernel {
    /// Says once that nothing is offered on an agent because its tasks hold more than it has.
    pub(crate) fn tell_over_commitment(&mut self, id: &AgentId, effects: &mut Effects) {
        let at = self.clock.wall();
        let Some(agent) = self.agents.get_mut(id) else { return };
        let is_over = agent.ledger.is_over_committed();
        if is_over && !agent.is_told_over_committed {
            let text = format!(
                "agent {} has less than its tasks hold: it gets nothing new until some end",
                agent.info.name
            );
            effects.push(about_agent(at, "refuse", Reason::new(text)));
        }
        agent.is_told_over_committed = is_over;
    }
}
