//! What all known agents lack for a request, in words.

use std::collections::BTreeMap;
use std::sync::Arc;

use kogge_model::attribute::{Attributes, Constraint};
use kogge_model::id::AgentId;
use kogge_model::reason::Reason;
use kogge_model::resources::{Bytes, CpuMillis, Resources};

use super::census::Census;
use super::request::{Need, Request, allows};

/// What an agent last offered, less what was launched on it since.
#[derive(Debug, Clone)]
pub(crate) struct SeenAgent {
    pub(crate) attributes: Arc<Attributes>,
    pub(crate) free: Resources,
}

/// Why no agent takes the request: `waits for an offer of …: 3 agents have too little cpu, 1 agent lacks zone=a`.
pub(crate) fn shortfall(request: &Request<'_>, agents: &BTreeMap<AgentId, SeenAgent>) -> Reason {
    let wanted = wanted(request);
    if agents.is_empty() {
        return Reason::new(format!("waits for an offer of {wanted}: no agent has offered anything yet"))
            .with_hint("kogge status shows which agents there are");
    }
    let census = Census::of(request);
    let mut lacks: BTreeMap<(u8, String), (u32, u64)> = BTreeMap::new();
    for agent in agents.values() {
        if let Some(lack) = lack(request, &census, agent) {
            let entry = lacks.entry((lack.rank, lack.text)).or_default();
            *entry = (entry.0 + 1, entry.1.max(lack.free));
        }
    }
    if lacks.is_empty() {
        return Reason::new(format!(
            "waits for an offer of {wanted}: an agent has room, its offer is on its way"
        ));
    }
    let hint = hint(lacks.keys().next_back().map_or(0, |(rank, _)| *rank));
    let mut told: Vec<_> = lacks.into_iter().collect();
    told.sort_by_key(|((rank, _), (count, _))| (std::cmp::Reverse(*count), *rank));
    let told: Vec<String> =
        told.into_iter().map(|((rank, text), (n, free))| sentence(rank, &text, n, free)).collect();
    Reason::new(format!("waits for an offer of {wanted}: {}", told.join(", "))).with_hint(hint)
}

/// Why one agent does not take it. A higher rank is nearer to fitting.
struct Lack {
    rank: u8,
    text: String,
    /// How much there is of what is too little.
    free: u64,
}

const LACKS: u8 = 0;
const REFUSED: u8 = 1;
const UNIQUE: u8 = 2;
const FIXED_PORT: u8 = 3;
const CPU: u8 = 4;
const MEMORY: u8 = 5;
const DISK: u8 = 6;
const PORTS: u8 = 7;

fn lack(request: &Request<'_>, census: &Census<'_>, agent: &SeenAgent) -> Option<Lack> {
    let (need, free) = (request.need, &agent.free);
    let some = |rank, text: String, free| Some(Lack { rank, text, free });
    if let Some(broken) = request.constraints.iter().find(|rule| !allows(rule, &agent.attributes)) {
        return match broken {
            Constraint::IsNot { key, value } => some(REFUSED, format!("{key}={value}"), 0),
            other => some(LACKS, other.to_string(), 0),
        };
    }
    if let Some(key) = census.conflict(&agent.attributes) {
        return some(UNIQUE, format!("unique:{key}"), 0);
    }
    if let Some(port) = need.fixed_ports().find(|port| !free.ports.contains(*port)) {
        return some(FIXED_PORT, port.to_string(), 0);
    }
    if need.cpu_millis > free.cpu_millis.0 {
        return some(CPU, String::new(), free.cpu_millis.0);
    }
    if need.mem_bytes > free.mem_bytes.0 {
        return some(MEMORY, String::new(), free.mem_bytes.0);
    }
    if need.disk_bytes > free.disk_bytes.0 {
        return some(DISK, String::new(), free.disk_bytes.0);
    }
    let is_short = !need.ports.is_empty() && !need.ports_fit(free);
    is_short.then(|| Lack { rank: PORTS, text: String::new(), free: u64::from(free.ports.len()) })
}

fn sentence(rank: u8, text: &str, count: u32, free: u64) -> String {
    let (agents, have, lack) = match count {
        1 => ("1 agent".to_owned(), "has", "lacks"),
        n => (format!("{n} agents"), "have", "lack"),
    };
    match rank {
        LACKS => format!("{agents} {lack} {text}"),
        REFUSED => format!("{agents} {have} {text}"),
        UNIQUE => format!("{agents} {have} one already or no such attribute ({text})"),
        FIXED_PORT => format!("{agents} {have} no free port {text}"),
        CPU => format!("{agents} {have} too little cpu (at most {} free)", CpuMillis(free)),
        MEMORY => format!("{agents} {have} too little memory (at most {} free)", Bytes(free)),
        DISK => format!("{agents} {have} too little disk (at most {} free)", Bytes(free)),
        _ => format!("{agents} {have} too few free ports ({free} at most)"),
    }
}

fn hint(rank: u8) -> &'static str {
    match rank {
        LACKS | REFUSED | UNIQUE => "change the constraints, or add an agent that satisfies them",
        FIXED_PORT => "stop what has the port, or let the host port be chosen",
        _ => "ask for less, scale something else down, or add an agent",
    }
}

fn wanted(request: &Request<'_>) -> String {
    let Need { cpu_millis, mem_bytes, disk_bytes, ports } = request.need;
    let mut text = format!("{} cpus and {} of memory", CpuMillis(*cpu_millis), Bytes(*mem_bytes));
    if *disk_bytes > 0 {
        text.push_str(&format!(", {} of disk", Bytes(*disk_bytes)));
    }
    match ports.len() {
        0 => {}
        1 => text.push_str(", 1 port"),
        n => text.push_str(&format!(", {n} ports")),
    }
    let is_rule = |rule: &&Constraint| !matches!(rule, Constraint::Spread { .. });
    let rules: Vec<String> = request.constraints.iter().filter(is_rule).map(ToString::to_string).collect();
    if rules.is_empty() { text } else { format!("{text} with {}", rules.join(" and ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_agent_lacks_is_counted_and_told() {
        let agent = |cpu: u64, zone: &str| SeenAgent {
            attributes: Arc::new([("zone".to_owned(), zone.to_owned())].into()),
            free: Resources { cpu_millis: CpuMillis(cpu), mem_bytes: Bytes::gib(1), ..Resources::default() },
        };
        let agents: Vec<SeenAgent> =
            vec![agent(1_000, "a"), agent(2_500, "a"), agent(0, "a"), agent(8_000, "b")];
        let agents: BTreeMap<AgentId, SeenAgent> =
            agents.into_iter().zip(1..).map(|(agent, n)| (AgentId::new(format!("a{n}")), agent)).collect();
        let need = Need { cpu_millis: 4_000, mem_bytes: 128 << 20, disk_bytes: 0, ports: vec![None] };
        let constraints = ["zone=a".parse().unwrap()];
        let request = Request { need: &need, constraints: &constraints, taken: Vec::new() };
        insta::assert_snapshot!(shortfall(&request, &agents), @"waits for an offer of 4.00 cpus and 128 MiB of memory, 1 port with zone=a: 3 agents have too little cpu (at most 2.50 free), 1 agent lacks zone=a");
        insta::assert_snapshot!(shortfall(&request, &BTreeMap::new()), @"waits for an offer of 4.00 cpus and 128 MiB of memory, 1 port with zone=a: no agent has offered anything yet");
    }
}
