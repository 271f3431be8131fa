//! Servers and agents.

use kogge_kernel::{AgentView, Phase, Quantities};
use kogge_model::agent::AgentInfo;
use kogge_model::reason::Reason;
use kogge_model::time::Timestamp;
use kogge_model::view::{NodeResources, NodeRole, NodeView};

use crate::cloud::Cloud;
use crate::handle::Handle;
use crate::refusal::Refusal;
use crate::standing::{ServerRecord, Standing};

impl Handle {
    /// All servers and agents that are known, servers first, then by name.
    ///
    /// # Errors
    /// When control is ending.
    pub async fn nodes(&self) -> Result<Vec<NodeView>, Refusal> {
        self.nodes_called(None).await
    }

    /// Those of that name, or all: of thousands, only what was asked for is made.
    async fn nodes_called(&self, name: Option<String>) -> Result<Vec<NodeView>, Refusal> {
        let (facts, standing) = (self.inner.facts.clone(), self.inner.standing.borrow().clone());
        let servers = self.inner.servers.borrow().clone();
        self.look(move |cloud, now| {
            let leader = match &standing {
                Standing::Leads => Some(&facts.server.name),
                Standing::TakesOver => None,
                Standing::Follows(leader) => leader.as_ref().map(|leader| &leader.name),
            };
            let is_listed = servers.iter().any(|server| server.name == facts.server.name);
            let own = (!is_listed).then_some(&facts.server);
            let is_asked = |one: &str| name.as_deref().is_none_or(|name| name == one);
            let mut nodes: Vec<NodeView> = own
                .into_iter()
                .chain(&servers)
                .filter(|server| is_asked(&server.name))
                .map(|server| cloud.server_view(server, leader == Some(&server.name), standing.leads()))
                .collect();
            let view = cloud.kernel.view();
            let agents = view.agents().filter(|agent| is_asked(&agent.info().name));
            let mut agents: Vec<NodeView> = agents.map(|agent| agent_view(agent, now)).collect();
            cloud.tell_impostors(&mut agents);
            agents.sort_by(|one, other| one.name.cmp(&other.name));
            nodes.extend(agents);
            Ok(nodes)
        })
        .await
    }

    /// Those of that name: a server and an agent of one machine may share theirs.
    ///
    /// # Errors
    /// When there is none, or control is ending.
    pub async fn node(&self, name: &str) -> Result<Vec<NodeView>, Refusal> {
        let nodes = self.nodes_called(Some(name.to_owned())).await?;
        if nodes.is_empty() {
            let reason = Reason::new(format!("there is no server or agent {name}"));
            return Err(Refusal::NotFound(reason.with_hint("kogge node list tells which there are")));
        }
        Ok(nodes)
    }
}

impl Cloud {
    fn server_view(&self, server: &ServerRecord, leads: bool, is_here: bool) -> NodeView {
        let door = server.door.as_ref().map(ToString::to_string);
        let reason = match leads {
            true if is_here => format!("leads term {}", self.settings.term),
            true => "leads".to_owned(),
            false => "ready to take over".to_owned(),
        };
        NodeView {
            name: server.name.clone(),
            id: None,
            role: NodeRole::Server,
            leader: leads,
            state: Phase::Ready.word().to_owned(),
            version: server.version.clone(),
            address: door.unwrap_or_else(|| server.api.clone()),
            resources: None,
            attributes: Default::default(),
            labels: Default::default(),
            tasks: Vec::new(),
            last_seen: None,
            reason,
        }
    }
}

fn closed_reason(info: &AgentInfo) -> String {
    let why = info.closed.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("it gets no new tasks: {why}")
}

fn agent_view(agent: AgentView<'_>, now: Timestamp) -> NodeView {
    let info = agent.info();
    let (all, held) = (Quantities::of(&info.resources), agent.held());
    let silent_ms = now.saturating_since(agent.last_seen()).as_millis();
    let rules = agent.rules();
    let reason = match agent.phase() {
        Phase::Ready if rules.drain.is_some() => drain_reason(agent),
        Phase::Ready if info.closed.is_some() => closed_reason(info),
        Phase::Ready if agent.is_over_committed() => "its tasks hold more than it has".to_owned(),
        Phase::Ready => format!("heard {silent_ms} ms ago"),
        Phase::Suspect => format!("silent for {silent_ms} ms: it gets no new tasks"),
        Phase::Lost => format!("silent for {silent_ms} ms: given up, its tasks are replaced"),
        Phase::Expected => "known from before; it has not come to this leader yet".to_owned(),
    };
    NodeView {
        name: info.name.clone(),
        id: Some(info.agent.to_string()),
        role: NodeRole::Agent,
        leader: false,
        state: state(agent).to_owned(),
        version: info.version.clone(),
        address: info.address.to_string(),
        resources: Some(NodeResources {
            cpu_millis: all.cpu_millis.0,
            held_cpu_millis: held.cpu_millis.0,
            mem_bytes: all.mem_bytes.0,
            held_mem_bytes: held.mem_bytes.0,
            disk_bytes: all.disk_bytes.0,
            held_disk_bytes: held.disk_bytes.0,
        }),
        attributes: agent.attributes().clone(),
        labels: rules.labels.clone(),
        tasks: agent.tasks().map(ToString::to_string).collect(),
        last_seen: Some(agent.last_seen().into()),
        reason,
    }
}

/// Its state in a word. Whether it is empty matters only while it answers.
pub(crate) fn state(agent: AgentView<'_>) -> &'static str {
    match agent.phase() {
        Phase::Ready if agent.is_emptying() => "draining",
        Phase::Ready if agent.rules().drain.is_some() => "drained",
        phase => phase.word(),
    }
}

fn drain_reason(agent: AgentView<'_>) -> String {
    let why = agent.rules().drain.as_ref().map(|drain| drain.reason.text.as_str()).unwrap_or_default();
    match agent.tasks().count() + agent.strays().count() {
        0 => format!("{why}; it is empty and gets no new tasks"),
        1 => format!("{why}; 1 task is left"),
        n => format!("{why}; {n} tasks are left"),
    }
}
