//! Servers and agents to test with, and conditions to wait for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};
use kogge_host::tasks::TaskGroup;
use kogge_host::{clock, listener, seed};
use kogge_link::identity::{Authority, Identity, Lifetime, Peer, PrivateKey, Role};
use kogge_link::token::{self, Accepted, Refused, Token, TokenRecord};
use kogge_link::{
    Blob, Blobs, Dialed, DialerConfig, DialerPorts, ExecLine, Gate, Impostor, JoinRefused, Joining, Keeper,
    Leader, LinkState, ListenerConfig, ListenerHandle, ListenerPorts, LogBatches, LogWish, Notes, Presence,
    ServerAddress, Signer, TaskDoor, Timing, Tunnels, dial, listen,
};
use kogge_model::digest::Digest;
use kogge_model::id::{AgentId, ClusterId, TaskId, Term};
use kogge_model::link::{FromAgent, FromControl, ToAgent, ToControl};
use kogge_model::reason::Reason;
use kogge_model::time::Timestamp;
use kogge_model::view::exec::ExecRequest;
use tokio::sync::{mpsc, watch};

use crate::following::{Echo, Noted};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something that must come.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what} did not happen within {PATIENCE:?}"),
    }
}

/// Waits until the link's state is as wanted.
pub(crate) async fn until<T: Clone + std::fmt::Debug>(
    state: &mut watch::Receiver<T>,
    wanted: impl Fn(&T) -> bool,
) -> T {
    let last = state.clone();
    match tokio::time::timeout(PATIENCE, state.wait_for(wanted)).await {
        Ok(state) => state.expect("the link lives").clone(),
        Err(_) => panic!("the link stays {:?}", last.borrow()),
    }
}

pub(crate) fn is_connected(state: &LinkState) -> bool {
    matches!(state, LinkState::Connected { .. })
}

/// Short pauses, so that tests are short; the patience stays long, because machines are slow.
pub(crate) fn timing() -> Timing {
    Timing {
        reconnect: Duration::from_millis(50),
        refused: Duration::from_millis(100),
        challenge: Duration::from_millis(500),
        renew_retry: Duration::from_millis(100),
        ..Timing::default()
    }
}

/// One cluster: an authority and what its servers share.
pub(crate) struct Cluster {
    pub(crate) authority: Arc<Authority>,
    pub(crate) gate: Arc<TestGate>,
    pub(crate) presence: Arc<Heard>,
    pub(crate) blobs: Arc<TestBlobs>,
    pub(crate) notes: Arc<Noted>,
    pub(crate) tunnels: Arc<Echo>,
}

/// A server of it.
pub(crate) struct Server {
    pub(crate) handle: ListenerHandle,
    pub(crate) incoming: mpsc::Receiver<FromAgent>,
    pub(crate) leader: watch::Sender<Leader>,
    pub(crate) servers: watch::Sender<Vec<ServerAddress>>,
    pub(crate) bulletin: watch::Sender<Bytes>,
    pub(crate) address: ServerAddress,
    group: TaskGroup,
}

/// An agent, with what it has kept.
pub(crate) struct Agent {
    pub(crate) link: Dialed,
    pub(crate) keeper: Arc<Kept>,
    pub(crate) note: watch::Sender<Bytes>,
    pub(crate) state: watch::Receiver<LinkState>,
}

impl Cluster {
    pub(crate) fn new(name: &str) -> Self {
        let authority = Arc::new(Authority::create(&ClusterId::new(name), clock::now()).unwrap());
        let gate =
            Arc::new(TestGate { authority: authority.certificate().fingerprint(), ..TestGate::default() });
        Self {
            authority,
            gate,
            presence: Arc::default(),
            blobs: Arc::default(),
            notes: Arc::default(),
            tunnels: Arc::default(),
        }
    }

    pub(crate) fn config() -> ListenerConfig {
        ListenerConfig { timing: timing(), ..ListenerConfig::new("s1", "9.9.9") }
    }

    pub(crate) fn server(&self) -> Server {
        self.server_with(Self::config(), None)
    }

    pub(crate) fn server_with(&self, config: ListenerConfig, at: Option<SocketAddr>) -> Server {
        self.server_signed_by(Arc::clone(&self.authority) as Arc<dyn Signer>, config, at)
    }

    pub(crate) fn server_signed_by(
        &self,
        signer: Arc<dyn Signer>,
        config: ListenerConfig,
        at: Option<SocketAddr>,
    ) -> Server {
        let (incoming_sender, incoming) = mpsc::channel(16);
        let (leader, leading) = watch::channel(Leader::Here);
        let (servers, listed) = watch::channel(Vec::new());
        let (bulletin, bulletins) = watch::channel(Bytes::new());
        let ports = ListenerPorts {
            gate: Arc::clone(&self.gate) as Arc<dyn Gate>,
            signer,
            leader: leading,
            servers: listed,
            blobs: Arc::clone(&self.blobs) as Arc<dyn Blobs>,
            presence: Arc::clone(&self.presence) as Arc<dyn Presence>,
            bulletin: bulletins,
            notes: Arc::clone(&self.notes) as Arc<dyn Notes>,
            tunnels: Arc::clone(&self.tunnels) as Arc<dyn Tunnels>,
            incoming: incoming_sender,
        };
        let group = TaskGroup::new("server");
        let at = at.unwrap_or_else(|| ([127, 0, 0, 1], 0).into());
        let socket = listener::bind("agents", at).unwrap();
        let handle = listen(socket, config, ports, &group).unwrap();
        let address = ServerAddress::from(handle.address());
        servers.send_replace(vec![address.clone()]);
        Server { handle, incoming, leader, servers, bulletin, address, group }
    }

    /// An identity without joining.
    pub(crate) fn identity(&self, role: Role, id: &str, now: Timestamp, lifetime: Lifetime) -> Identity {
        let key = PrivateKey::generate().unwrap();
        let peer = Peer::new(self.authority.certificate().cluster().clone(), role, id).unwrap();
        let request = key.signing_request().unwrap();
        let certificate = self.authority.issue(&request, &peer, now, lifetime).unwrap();
        Identity::new(key, certificate, self.authority.certificate().clone()).unwrap()
    }

    pub(crate) fn member(&self, id: &str) -> Identity {
        self.identity(Role::Agent, id, clock::now(), Lifetime::default())
    }

    pub(crate) fn agent(&self, id: &str, servers: &[&Server]) -> Agent {
        Agent::start(self.member(id), servers)
    }

    pub(crate) fn token(&self, time_to_live: Duration) -> Token {
        let random = seed::draw().unwrap()[..token::MINT_BYTES].try_into().unwrap();
        let (token, record) = token::mint(&random, self.gate.authority, clock::now(), time_to_live);
        self.gate.records.lock().unwrap().insert(record.id.clone(), record);
        token
    }
}

impl Server {
    /// The next report that is more than a sign of life.
    pub(crate) async fn report(&mut self) -> FromAgent {
        soon("a report", async {
            loop {
                let report = self.incoming.recv().await.expect("the door is open");
                if report.body != ToControl::Heartbeat {
                    return report;
                }
            }
        })
        .await
    }

    pub(crate) async fn stop(self) -> SocketAddr {
        let address = self.handle.address();
        assert_eq!(self.handle.shutdown(PATIENCE).await, [""; 0]);
        assert_eq!(self.group.shutdown(PATIENCE).await, [""; 0]);
        address
    }
}

impl Agent {
    pub(crate) fn start(identity: Identity, servers: &[&Server]) -> Self {
        let servers = servers.iter().map(|server| server.address.clone()).collect();
        Self::start_with(DialerConfig { timing: timing(), ..DialerConfig::new(identity, servers, "1.2.3") })
    }

    pub(crate) fn start_with(config: DialerConfig) -> Self {
        Self::start_among(config, Arc::new(NoTasks))
    }

    pub(crate) fn start_among(config: DialerConfig, tasks: Arc<dyn TaskDoor>) -> Self {
        let keeper = Arc::new(Kept::default());
        let (note, notes) = watch::channel(Bytes::new());
        let ports = DialerPorts { tasks, note: notes, keeper: Arc::clone(&keeper) as Arc<dyn Keeper> };
        let link = dial(config, ports, &TaskGroup::new("agent")).unwrap();
        let state = link.handle.state();
        Self { link, keeper, note, state }
    }

    pub(crate) async fn connected(&mut self) -> LinkState {
        until(&mut self.state, is_connected).await
    }

    pub(crate) async fn order(&mut self) -> FromControl {
        soon("an order", self.link.from_control.recv()).await.expect("the link lives")
    }

    /// Why it is not connected, once it was refused.
    pub(crate) async fn refusal(&mut self) -> Reason {
        let is_refused = |state: &LinkState| matches!(state, LinkState::Waiting { refused: Some(_), .. });
        match until(&mut self.state, is_refused).await {
            LinkState::Waiting { why, .. } => why,
            _ => unreachable!("waited for"),
        }
    }

    /// Why it is not connected, whatever the reason.
    pub(crate) async fn failure(&mut self) -> Reason {
        match until(&mut self.state, |state| matches!(state, LinkState::Waiting { .. })).await {
            LinkState::Waiting { why, .. } => why,
            _ => unreachable!("waited for"),
        }
    }
}

pub(crate) fn order(number: u64) -> FromControl {
    FromControl { cluster: ClusterId::new("north"), term: Term(number), body: ToAgent::Registered }
}

pub(crate) fn report(agent: &str, number: u64) -> FromAgent {
    let task = TaskId::new(number.to_string());
    let body = ToControl::Register {
        info: kogge_model::agent::AgentInfo {
            agent: AgentId::new(agent),
            name: agent.to_owned(),
            address: [127, 0, 0, 1].into(),
            resources: kogge_model::resources::Resources::default(),
            attributes: kogge_model::attribute::Attributes::default(),
            version: "1.2.3".to_owned(),
            closed: None,
        },
        cluster: None,
        term: Term(number),
        tasks: Vec::new(),
        held: BTreeMap::from([(task, kogge_model::resources::Resources::default())]),
    };
    FromAgent { agent: AgentId::new(agent), body }
}

/// The gate of a cluster whose state is in memory.
pub(crate) struct TestGate {
    pub(crate) authority: Digest,
    pub(crate) records: Mutex<BTreeMap<String, TokenRecord>>,
    pub(crate) forgotten: Mutex<BTreeSet<AgentId>>,
    pub(crate) elsewhere: Mutex<Option<ServerAddress>>,
}

impl Default for TestGate {
    fn default() -> Self {
        Self {
            authority: Digest::of(b""),
            records: Mutex::default(),
            forgotten: Mutex::default(),
            elsewhere: Mutex::default(),
        }
    }
}

impl Gate for TestGate {
    fn redeem(&self, joining: Joining) -> BoxFuture<'_, Result<(), JoinRefused>> {
        Box::pin(async move {
            if let Some(leader) = self.elsewhere.lock().unwrap().take() {
                return Err(JoinRefused::NotLeader(Some(leader)));
            }
            let mut records = self.records.lock().unwrap();
            let record = records.get(joining.token.id());
            let checked = token::check(record, &joining.token, self.authority, joining.key, clock::now());
            if let Accepted::First(used) = checked.map_err(|why: Refused| JoinRefused::Token(why))? {
                records.insert(used.id.clone(), used);
            }
            Ok(())
        })
    }

    fn admit(&self, agent: &AgentId, _key: Digest) -> Result<(), Reason> {
        if self.forgotten.lock().unwrap().contains(agent) {
            return Err(Reason::new(format!("agent {agent} was removed from the cluster")));
        }
        Ok(())
    }
}

/// Who came and went.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) events: Mutex<Vec<String>>,
    pub(crate) impostors: Mutex<Vec<Impostor>>,
}

impl Presence for Heard {
    fn opened(&self, agent: &AgentId, _from: SocketAddr) {
        self.events.lock().unwrap().push(format!("{agent} came"));
    }

    fn closed(&self, agent: &AgentId) {
        self.events.lock().unwrap().push(format!("{agent} went"));
    }

    fn sent_on(&self, agent: &AgentId) {
        self.events.lock().unwrap().push(format!("{agent} was sent on"));
    }

    fn cloned(&self, impostor: &Impostor) {
        self.impostors.lock().unwrap().push(impostor.clone());
    }
}

/// A store in memory.
#[derive(Default)]
pub(crate) struct TestBlobs(pub(crate) Mutex<BTreeMap<Digest, Bytes>>);

impl Blobs for TestBlobs {
    fn open(&self, digest: Digest, offset: u64) -> BoxFuture<'_, Result<Blob, Reason>> {
        Box::pin(async move {
            let blob = self.0.lock().unwrap().get(&digest).cloned();
            let mut blob = blob.ok_or_else(|| Reason::new(format!("{digest} is not here")))?;
            let size_bytes = u64::try_from(blob.len()).unwrap();
            let pieces = blob.split_off(usize::try_from(offset).unwrap().min(blob.len()));
            Ok(Blob { size_bytes, pieces: stream::iter([Ok(pieces)]).boxed() })
        })
    }
}

/// What an agent has kept.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) identities: Mutex<Vec<Identity>>,
    pub(crate) servers: Mutex<Vec<Vec<ServerAddress>>>,
}

impl Keeper for Kept {
    fn keep_identity<'a>(&'a self, identity: &'a Identity) -> BoxFuture<'a, Result<(), Reason>> {
        self.identities.lock().unwrap().push(identity.clone());
        Box::pin(async { Ok(()) })
    }

    fn keep_servers<'a>(&'a self, servers: &'a [ServerAddress]) -> BoxFuture<'a, Result<(), Reason>> {
        self.servers.lock().unwrap().push(servers.to_vec());
        Box::pin(async { Ok(()) })
    }
}

/// An agent that runs nothing.
pub(crate) struct NoTasks;

impl TaskDoor for NoTasks {
    fn logs(&self, _tasks: Vec<TaskId>, _wish: LogWish) -> BoxFuture<'_, Result<LogBatches, Reason>> {
        Box::pin(async { Ok(mpsc::channel(1).1) })
    }

    fn exec(&self, task: TaskId, _request: ExecRequest) -> BoxFuture<'_, Result<ExecLine, Reason>> {
        Box::pin(async move { Err(Reason::new(format!("task {task} is not running"))) })
    }

    fn stats(&self, task: TaskId) -> BoxFuture<'_, Result<serde_json::Value, Reason>> {
        Box::pin(async move { Err(Reason::new(format!("task {task} is not running"))) })
    }
}
