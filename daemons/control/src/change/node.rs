//! What operators say of agents: drain, undrain, label, reserve, forget.

use std::collections::BTreeMap;

use kogge_kernel::{AgentView, FIXED_ATTRIBUTES, Instruction, Rules};
use kogge_model::caller::Caller;
use kogge_model::fault::Faults;
use kogge_model::id::AgentId;
use kogge_model::reason::Reason;
use kogge_model::resources::{Bytes, CpuMillis, Resources};
use kogge_model::view::{ChangeView, DrainRequest, FieldChange, LabelRequest, ReserveRequest};

use crate::cloud::Cloud;
use crate::handle::Handle;
use crate::refusal::Refusal;

/// The longest key or value of a label.
const MAX_LABEL: usize = 128;

impl Handle {
    /// Gives an agent nothing new and has what runs there moved elsewhere. `node` is a name or an id.
    ///
    /// # Errors
    /// When there is no such agent, or several of that name.
    pub async fn drain_node(
        &self,
        caller: &Caller,
        node: &str,
        request: DrainRequest,
        is_plan: bool,
    ) -> Result<ChangeView, Refusal> {
        let given = request.reason.map(|reason| reason.trim().to_owned()).filter(|reason| !reason.is_empty());
        let reason = given.unwrap_or_else(|| format!("asked for by {}", caller.name));
        self.instruct(node, Instruction::Drain(reason.into()), is_plan).await
    }

    /// An agent may be used again; work comes back to it little by little.
    ///
    /// # Errors
    /// When there is no such agent, or several of that name.
    pub async fn undrain_node(&self, node: &str, is_plan: bool) -> Result<ChangeView, Refusal> {
        self.instruct(node, Instruction::Undrain, is_plan).await
    }

    /// Sets attributes on top of those an agent tells of itself, and takes such away.
    ///
    /// # Errors
    /// When there is no such agent, several of that name, or a label breaks a rule.
    pub async fn label_node(
        &self,
        node: &str,
        request: LabelRequest,
        is_plan: bool,
    ) -> Result<ChangeView, Refusal> {
        check_labels(&request.labels)?;
        self.instruct(node, Instruction::Label(request.labels), is_plan).await
    }

    /// Withholds part of an agent from new tasks. Nothing that runs is ended for it.
    ///
    /// # Errors
    /// When there is no such agent, or several of that name.
    pub async fn reserve_node(
        &self,
        node: &str,
        request: ReserveRequest,
        is_plan: bool,
    ) -> Result<ChangeView, Refusal> {
        let reserved = Resources {
            cpu_millis: CpuMillis(request.cpu_millis),
            mem_bytes: Bytes(request.mem_bytes),
            disk_bytes: Bytes(request.disk_bytes),
            ..Resources::default()
        };
        self.instruct(node, Instruction::Reserve(reserved), is_plan).await
    }

    /// Drops an agent that is given up, so that nobody waits for it any more.
    ///
    /// # Errors
    /// When there is no such agent, several of that name, or it is not given up.
    pub async fn forget_node(&self, node: &str, is_plan: bool) -> Result<ChangeView, Refusal> {
        self.instruct(node, Instruction::Forget, is_plan).await
    }

    async fn instruct(
        &self,
        node: &str,
        instruction: Instruction,
        is_plan: bool,
    ) -> Result<ChangeView, Refusal> {
        let node = node.to_owned();
        self.alter(move |cloud, round| {
            let agent = cloud.agent_called(&node)?;
            let changes = differences(agent, &instruction)?;
            let id = agent.info().agent.clone();
            if !is_plan && !changes.is_empty() {
                if matches!(instruction, Instruction::Forget) {
                    cloud.expel(&id, round);
                }
                cloud.instruct(id, instruction, round);
            }
            Ok(ChangeView { is_plan, changes, ..ChangeView::default() })
        })
        .await
    }
}

impl Cloud {
    /// The agent of that id, or else the only one of that name.
    fn agent_called(&self, node: &str) -> Result<AgentView<'_>, Refusal> {
        let view = self.kernel.view();
        if let Some(agent) = view.agent(&AgentId::new(node)) {
            return Ok(agent);
        }
        let mut named = view.agents().filter(|agent| agent.info().name == node);
        let (first, others) = (named.next(), named.count());
        match first {
            Some(agent) if others == 0 => Ok(agent),
            Some(_) => {
                let named = view.agents().filter(|agent| agent.info().name == node);
                let ids: Vec<String> = named.map(|agent| agent.info().agent.to_string()).collect();
                let reason =
                    Reason::new(format!("{} agents are called {node}: {}", ids.len(), ids.join(", ")));
                Err(Refusal::Conflict(reason.with_hint("say which one by its id")))
            }
            None => {
                let reason = Reason::new(format!("there is no agent {node}"));
                Err(Refusal::NotFound(reason.with_hint("kogge node list tells which there are")))
            }
        }
    }
}

fn check_labels(labels: &BTreeMap<String, Option<String>>) -> Result<(), Refusal> {
    let mut faults = Faults::default();
    faults.check(!labels.is_empty(), "labels", || "name at least one".to_owned());
    for (key, value) in labels {
        let field = format!("labels.{key}");
        let is_key = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b'/');
        let is_sound = !key.is_empty() && key.len() <= MAX_LABEL && key.bytes().all(is_key);
        faults.check(is_sound, field.clone(), || {
            format!("a key is 1 to {MAX_LABEL} letters, digits, '-', '_', '.' and '/'")
        });
        faults.check(!FIXED_ATTRIBUTES.contains(&key.as_str()), field.clone(), || {
            "says which machine it is and cannot be labelled".to_owned()
        });
        let is_sound = value.as_ref().is_none_or(|value| {
            !value.is_empty() && value.len() <= MAX_LABEL && !value.chars().any(char::is_control)
        });
        faults.check(is_sound, field, || format!("a value is 1 to {MAX_LABEL} printable characters"));
    }
    Ok(faults.finish(())?)
}

/// What an instruction would change; a plan and the real thing ask here.
fn differences(agent: AgentView<'_>, instruction: &Instruction) -> Result<Vec<FieldChange>, Refusal> {
    let name = &agent.info().name;
    let (before, mut changes) = (agent.rules(), Vec::new());
    let mut note = |field: &str, before: Option<String>, after: Option<String>| {
        if before != after {
            changes.push(FieldChange { subject: name.clone(), field: field.to_owned(), before, after });
        }
    };
    let drain = |rules: &Rules| rules.drain.as_ref().map(|drain| drain.reason.text.clone());
    match instruction {
        Instruction::Drain(reason) => note("drain", drain(before), Some(reason.text.clone())),
        Instruction::Undrain => note("drain", drain(before), None),
        Instruction::Label(labels) => {
            for (key, value) in labels {
                let own = agent.info().attributes.get(key);
                let label = before.labels.get(key);
                if let (None, None, Some(own)) = (value, label, own) {
                    let rule = format!("is no label: the agent itself says {key}={own}");
                    return Err(Refusal::field(format!("labels.{key}"), rule));
                }
                note(&format!("labels.{key}"), label.cloned(), value.clone());
            }
        }
        Instruction::Reserve(reserved) => {
            let told = |reserved: &Resources| (!reserved.is_empty()).then(|| reserved.to_string());
            note("reserved", told(&before.reserved), told(reserved));
        }
        Instruction::Forget if !agent.is_forgettable() => {
            let state = crate::look::node_state(agent);
            let reason =
                Reason::new(format!("agent {name} is {state}: only one that is lost can be forgotten"));
            return Err(Refusal::Conflict(reason.with_hint(format!(
                "kogge node drain {name} moves its work elsewhere; then end its process"
            ))));
        }
        Instruction::Forget => note("", Some(crate::look::node_state(agent).to_owned()), None),
    }
    Ok(changes)
}
