//! One agent: the true core and the true link, on a machine that does at once whatever it is asked for.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use kogge_host::clock;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_link::identity::Identity;
use kogge_link::{Dialed, DialerConfig, DialerPorts, Joined, Keeper, LinkState, ServerAddress, dial};
use kogge_model::agent::AgentInfo;
use kogge_model::id::AgentId;
use kogge_model::link::{FromAgent, FromControl, ToAgent};
use kogge_model::port::{Port, PortSet};
use kogge_model::reason::Reason;
use kogge_model::resources::{self, CpuMillis, Resources};
use kogge_model::task::{Exit, TaskState};
use kogge_model::time::Timestamp;
use kogge_node::{Effect, Effects, Input, Node, NodeConfig, StopSignal};
use tokio::sync::watch;

use crate::tally::{Standing, Tally};
use crate::tasks::NoTasks;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Messages waiting each way; an agent of thousands has few.
const CAPACITY: usize = 256;

/// Runs until `group` ends; whether it takes tasks is said with its number.
pub(crate) fn start(
    joined: Joined,
    (number, is_closed): (usize, bool),
    tally: &Arc<Tally>,
    group: &TaskGroup,
) -> anyhow::Result<()> {
    let id = joined.identity.certificate().peer().agent().expect("an agent has joined");
    let own = group.child("agent");
    let mut config = DialerConfig::new(joined.identity, joined.servers, VERSION);
    config.capacity = CAPACITY;
    // Nothing is routed by a machine that is not there: it has nothing to say about tables.
    let (_, note) = watch::channel(Bytes::new());
    let ports = DialerPorts { tasks: Arc::new(NoTasks), note, keeper: Arc::new(Forgetful) };
    let link = dial(config, ports, &own)?;
    let node =
        Node::new(NodeConfig::new(info(id.clone(), number, is_closed), "boot"), kogge_host::seed::draw()?);
    let mut agent = Agent { id, node, standing: Standing::default(), tally: Arc::clone(tally) };
    let token = own.token();
    own.spawn("agent", OnPanic::StopGroup, async move {
        tokio::select! {
            () = token.cancelled() => {}
            () = agent.run(link) => {}
        }
    });
    Ok(())
}

struct Agent {
    id: AgentId,
    node: Node,
    standing: Standing,
    tally: Arc<Tally>,
}

impl Agent {
    async fn run(&mut self, mut link: Dialed) {
        let (mut state, mut spares) = (link.handle.state(), link.handle.spares());
        let mut sessions = link.handle.sessions();
        self.take(Input::LinkUp, &link);
        loop {
            let is_connected = matches!(&*state.borrow_and_update(), LinkState::Connected { .. });
            let ready = *spares.borrow_and_update();
            self.tally.changes(&mut self.standing, |standing| {
                (standing.is_connected, standing.spares) = (is_connected, ready);
            });
            let input = tokio::select! {
                order = link.from_control.recv() => match order {
                    Some(order) => self.heard(order),
                    None => return,
                },
                Ok(()) = sessions.changed() => Input::SessionBegun,
                changed = state.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                Ok(()) = spares.changed() => continue,
                () = clock::sleep_until(self.node.next_wakeup()) => Input::Tick,
            };
            self.take(input, &link);
        }
    }

    fn heard(&mut self, order: FromControl) -> Input {
        if matches!(order.body, ToAgent::Registered) {
            let term = order.term;
            self.tally.changes(&mut self.standing, |standing| standing.registered = Some(term));
        }
        Input::FromControl(order)
    }

    fn take(&mut self, input: Input, link: &Dialed) {
        let mut inputs = VecDeque::from([input]);
        let mut is_changed = false;
        while let Some(input) = inputs.pop_front() {
            let mut effects = Effects::new();
            self.node.handle(clock::now(), input, &mut effects);
            is_changed |= effects.iter().any(|effect| !matches!(effect, Effect::Send(_)));
            for effect in effects {
                inputs.extend(self.act(effect, link));
            }
        }
        if is_changed {
            let running =
                self.node.tasks().filter(|task| matches!(task.state, TaskState::Running(_))).count();
            self.tally.changes(&mut self.standing, |standing| standing.running = running);
        }
    }

    /// What comes of it, at once.
    fn act(&self, effect: Effect, link: &Dialed) -> Option<Input> {
        let now = clock::now();
        match effect {
            Effect::Send(body) => {
                // As on a real machine, what finds no room comes again.
                let _ = link.to_control.try_send(FromAgent { agent: self.id.clone(), body });
                None
            }
            Effect::Start { spec, .. } => {
                if let Some(instance) = &spec.instance {
                    self.tally.launched(instance, now);
                }
                let task = spec.task.clone();
                Some(Input::Started { task, pid: 1, started_at: now, ip: Ipv4Addr::LOCALHOST.into() })
            }
            Effect::Signal { task, signal } => Some(exited(task, signal, now)),
            Effect::MakeSure(task) => Some(Input::Gone { task }),
            Effect::Collect(task) => Some(Input::Collected { task }),
            Effect::Probe { task, number, .. } => Some(Input::ProbeResult { task, number, result: Ok(()) }),
            Effect::SaveAgent(_)
            | Effect::Save(_)
            | Effect::Forget(_)
            | Effect::Lease { .. }
            | Effect::CancelStart(_)
            | Effect::Release(_)
            | Effect::Explain(_) => None,
        }
    }
}

fn exited(task: kogge_model::id::TaskId, signal: StopSignal, at: Timestamp) -> Input {
    let signal = match signal {
        StopSignal::Stop => 15,
        StopSignal::Kill => 9,
    };
    Input::Exited { task, exit: Exit::Signal { signal }, at, oom_kills: 0 }
}

/// A machine with room for a hundred small tasks.
fn info(agent: AgentId, number: usize, is_closed: bool) -> AgentInfo {
    let port = |number| Port::new(number).expect("it is not 0");
    let name = agent.to_string();
    let attributes = [
        ("agent", name.clone()),
        ("hostname", name.clone()),
        ("arch", "amd64".to_owned()),
        ("zone", ["a", "b", "c"][number % 3].to_owned()),
    ];
    let [_, _, high, low] = u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
    AgentInfo {
        agent,
        name,
        address: IpAddr::from([10, 77, high, low]),
        resources: Resources {
            cpu_millis: CpuMillis(16_000),
            mem_bytes: resources::Bytes::gib(32),
            disk_bytes: resources::Bytes::gib(100),
            ports: PortSet::range(port(31_000), port(32_000)),
        },
        attributes: attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        version: VERSION.to_owned(),
        closed: is_closed.then(|| Reason::new("it only is there")),
    }
}

/// Keeps nothing: this process ends with its agents.
struct Forgetful;

impl Keeper for Forgetful {
    fn keep_identity<'a>(&'a self, _: &'a Identity) -> BoxFuture<'a, Result<(), Reason>> {
        Box::pin(async { Ok(()) })
    }

    fn keep_servers<'a>(&'a self, _: &'a [ServerAddress]) -> BoxFuture<'a, Result<(), Reason>> {
        Box::pin(async { Ok(()) })
    }
}
