//! Control starts: it wins the election, takes over the state, and opens its door.

use std::sync::Arc;
use std::time::Duration;

use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_host::{clock, seed};
use kogge_model::id::{ClusterId, TaskId, Term};
use kogge_store::{CampaignError, Store};
use thiserror::Error;
use tokio::sync::{broadcast, mpsc, watch};

use crate::access::Members;
use crate::cloud::Settings;
use crate::config::Config;
use crate::handle::{Facts, Handle, Inner};
use crate::load::{self, LoadError};
use crate::ports::{AgentLinks, Drains, Images, RoutingPublisher, TaskAccess};
use crate::reactor::{Reactor, Wires};

/// A server that died leads until its lease has ended; one that does not let go is alive.
const PATIENCE: Duration = Duration::from_secs(20);
/// Requests that may wait for the reactor; further ones wait before the door.
const JOBS: usize = 1_024;
/// Events a slow listener may be behind before it loses the oldest.
const EVENTS: usize = 1_024;

/// Why control did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Somebody leads already.
    #[error("another server leads with this state")]
    Led,
    /// No leader can be elected.
    #[error("cannot lead")]
    Campaign(#[from] CampaignError),
    /// The state cannot be taken over.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The kernel gives no random numbers.
    #[error("cannot draw a seed")]
    Seed(#[from] std::io::Error),
}

/// Everything control is wired to.
pub struct Ports {
    /// To the agents.
    pub agents: AgentLinks,
    /// Into tasks.
    pub tasks: Arc<dyn TaskAccess>,
    /// The images.
    pub images: Arc<dyn Images>,
    /// To the routers.
    pub routing: RoutingPublisher,
    /// Back from them.
    pub drains: Arc<dyn Drains>,
}

/// Waits a while until this server leads, loads the state, and runs in `group` until that is cancelled.
///
/// # Errors
/// When the engine does not answer, or holds a state this program must not lead with.
pub async fn start(
    config: Config,
    store: Arc<dyn Store>,
    ports: Ports,
    facts: Facts,
    group: &TaskGroup,
) -> Result<Handle, StartError> {
    let campaign = store.campaign(load::ELECTION, facts.version.clone().into());
    let leadership = tokio::time::timeout(PATIENCE, campaign).await.map_err(|_| StartError::Led)??;
    let fresh = seed::draw()?;
    let hex: String = fresh[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let record = load::cluster(store.as_ref(), ClusterId::new(hex)).await?;
    let (cluster, term) = (record.cluster, Term(record.term_base.saturating_add(leadership.fence())));
    let settings = Settings { cluster: cluster.clone(), term, config };
    let authority = Arc::new(load::authority(store.as_ref(), &cluster, leadership.guard()).await?);
    let cloud = load::cloud(store.as_ref(), settings, clock::now()).await?;
    let (jobs, jobs_in) = mpsc::channel(JOBS);
    let (drained, drained_in) = mpsc::channel::<TaskId>(JOBS);
    let (events, _) = broadcast::channel(EVENTS);
    let (changed, changed_out) = watch::channel(0);
    let (ended, ended_out) = watch::channel(None);
    let (members, members_out) = watch::channel(Members::default());
    let wires = Wires {
        jobs: jobs_in,
        agents: ports.agents,
        drained: drained_in,
        routing: ports.routing,
        drains: ports.drains,
        drained_out: drained,
        group: group.clone(),
        events: events.clone(),
        changed,
        ended,
        members,
    };
    let reactor = Reactor { cloud, store, leadership, wires, next_event: 0, version: facts.version.clone() };
    group.spawn("control", OnPanic::StopGroup, reactor.run(group.token()));
    let inner = Inner {
        jobs,
        events,
        changed: changed_out,
        ended: ended_out,
        tasks: ports.tasks,
        images: ports.images,
        facts,
        cluster,
        authority,
        members: members_out,
        down: watch::channel(None).0,
    };
    Ok(Handle { inner: Arc::new(inner) })
}
