//! Control starts: it finds the cluster or founds it, takes over the state, and opens its door.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_host::{clock, seed};
use kogge_link::identity::Authority;
use kogge_model::id::{ClusterId, TaskId, Term};
use kogge_store::{CampaignError, Leadership, Store};
use thiserror::Error;
use tokio::sync::{broadcast, mpsc, watch};

use crate::access::Members;
use crate::cloud::Cloud;
use crate::config::Config;
use crate::copy::Copy;
use crate::handle::{Facts, Handle, Inner};
use crate::hearing::Hearing;
use crate::image::Image;
use crate::keys::ClusterRecord;
use crate::load::{self, LoadError};
use crate::pace::Pace;
use crate::ports::{AgentLinks, Drains, Images, RoutingPublisher, TaskAccess};
use crate::reactor::{Reactor, Wires};
use crate::seekers::Seekers;
use crate::settings::Settings;
use crate::standing::{ServerRecord, Standing};
use crate::view::View;
use crate::vigil::Watched;
use crate::{giving_way, name, servers, vigil};

/// A server that died leads until its lease has ended; one that does not let go is alive.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks whether another server has founded the cluster.
const LOOK_AGAIN: Duration = Duration::from_millis(300);
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
    /// Servers are told apart by their names.
    #[error("another server called {} runs at {}", .0.name, .0.place())]
    NameTaken(Box<ServerRecord>),
    /// Absence of state is no reason to begin anew (G4).
    #[error("{}, and this server is one of cluster {served}", whose(.found.as_ref()))]
    OtherState {
        /// Whose server it was before.
        served: ClusterId,
        /// Whose state it is, if there is one.
        found: Option<ClusterId>,
    },
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

/// What a server begins with.
struct Beginning {
    record: ClusterRecord,
    authority: Authority,
    /// None when another server leads.
    leadership: Option<Leadership>,
    /// Whether there was no cluster.
    is_founder: bool,
}

/// Finds the state, waits until this server may answer for it, and runs in `group` until that is cancelled. A server
/// that is alone waits a while until it leads; one of several follows the one that does.
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
    let is_alone = config.is_alone;
    let beginning = if is_alone { lead(&store, &facts).await? } else { join(&store, &facts).await? };
    let Beginning { record, authority, leadership, is_founder } = beginning;
    let term = Term(record.term_base.saturating_add(leadership.as_ref().map_or(0, Leadership::fence)));
    let settings = Settings { cluster: record.cluster.clone(), term, is_founder, config };
    let (image, cloud, view) = read(store.as_ref(), settings, leadership.is_some()).await?;
    let copy = (!is_alone).then(|| Copy::follow(Arc::clone(&store), image, group));
    let seekers = Arc::<Seekers>::default();
    let pace = Arc::new(Pace::new(leadership.is_some().then(Instant::now)));
    let watched = Watched { seekers: Arc::clone(&seekers), pace: Arc::clone(&pace) };
    let servers = others(&store, copy.as_ref(), &facts.server, watched, group);
    let (jobs, jobs_in) = mpsc::channel(JOBS);
    let (drained, drained_in) = mpsc::channel::<TaskId>(JOBS);
    let (events, _) = broadcast::channel(EVENTS);
    let (changed, changed_out) = watch::channel(0);
    let (ended, ended_out) = watch::channel(None);
    let (members, members_out) = watch::channel(Members::default());
    let (standing, standing_out) = watch::channel(Standing::Follows(None));
    let (operators, operators_out) = watch::channel(Arc::clone(&cloud.operators));
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
        standing,
        operators,
    };
    let reactor = Reactor {
        cloud,
        store,
        leadership,
        copy: copy.clone(),
        view,
        righted: copy.as_ref().map(Copy::righted),
        wires,
        next_event: 0,
        own: facts.server.clone(),
        hearing: Hearing::new(clock::since_boot()),
        pace: Arc::clone(&pace),
        unanswered: 0,
    };
    group.spawn("control", OnPanic::StopGroup, reactor.run(group.token()));
    let inner = Inner {
        jobs,
        events,
        changed: changed_out,
        ended: ended_out,
        tasks: ports.tasks,
        images: ports.images,
        facts,
        cluster: record.cluster,
        authority: Arc::new(authority),
        members: members_out,
        standing: standing_out,
        servers,
        copy,
        operators: operators_out,
        seekers,
        down: watch::channel(None).0,
    };
    let handle = Handle { inner: Arc::new(inner) };
    if let Some(copy) = &handle.inner.copy {
        giving_way::heed(handle.clone(), copy.clone(), pace, group);
    }
    Ok(handle)
}

/// The state, and the cores as it tells; who does not lead goes on with both.
async fn read(
    store: &dyn Store,
    settings: Settings,
    is_leader: bool,
) -> Result<(Image, Cloud, View), LoadError> {
    let mut image = Image::read(store).await?;
    let sharing = Arc::default();
    let cloud = load::shared_cloud(&image, settings, clock::now(), &sharing)?;
    let view = if is_leader { View::default() } else { View::of(&mut image, sharing) };
    Ok((image, cloud, view))
}

/// All servers: those that this one tells of itself and watches, or it alone.
fn others(
    store: &Arc<dyn Store>,
    copy: Option<&Copy>,
    own: &ServerRecord,
    watched: Watched,
    group: &TaskGroup,
) -> watch::Receiver<Vec<ServerRecord>> {
    let Some(copy) = copy else { return watch::channel(vec![own.clone()]).1 };
    servers::announce(Arc::clone(store), own.clone(), copy.clone(), group);
    vigil::keep(Arc::clone(store), copy.clone(), own.name.clone(), watched, group);
    servers::followed(copy, group)
}

fn whose(found: Option<&ClusterId>) -> String {
    found.map_or_else(
        || "the state is empty".to_owned(),
        |found| format!("the state is that of cluster {found}"),
    )
}

/// Refuses a state that is not that of the cluster this server was one of before.
fn check_served(facts: &Facts, known: Option<&ClusterRecord>) -> Result<(), StartError> {
    let found = known.map(|record| &record.cluster);
    match &facts.served {
        Some(served) if found != Some(served) => {
            Err(StartError::OtherState { served: served.clone(), found: found.cloned() })
        }
        Some(_) | None => Ok(()),
    }
}

/// Leads, or does not begin.
async fn lead(store: &Arc<dyn Store>, facts: &Facts) -> Result<Beginning, StartError> {
    let campaign = store.campaign(load::ELECTION, facts.server.to_bytes());
    let leadership = tokio::time::timeout(PATIENCE, campaign).await.map_err(|_| StartError::Led)??;
    found(store, leadership, facts).await
}

/// Follows whoever leads the cluster; founds it if there is none yet.
async fn join(store: &Arc<dyn Store>, facts: &Facts) -> Result<Beginning, StartError> {
    check_served(facts, load::known_cluster(store.as_ref()).await?.as_ref())?;
    let claimed = name::claim(store.as_ref(), &facts.server, name::PATIENCE).await;
    claimed.map_err(|other| StartError::NameTaken(other.0))?;
    vigil::bury(store.as_ref(), &facts.server).await;
    let looking = async {
        loop {
            if let Some(record) = load::known_cluster(store.as_ref()).await?
                && let Some(authority) = load::known_authority(store.as_ref()).await?
            {
                return Ok(Beginning { record, authority, leadership: None, is_founder: false });
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::select! {
        biased;
        found = looking => found,
        won = store.campaign(load::ELECTION, facts.server.to_bytes()) => found(store, won?, facts).await,
    }
}

async fn found(
    store: &Arc<dyn Store>,
    leadership: Leadership,
    facts: &Facts,
) -> Result<Beginning, StartError> {
    let fresh = seed::draw()?;
    let hex: String = fresh[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let known = load::known_cluster(store.as_ref()).await?;
    check_served(facts, known.as_ref())?;
    let is_founder = known.is_none();
    let record = match known {
        Some(record) => record,
        None => load::found(store.as_ref(), ClusterId::new(hex)).await?,
    };
    let authority = load::authority(store.as_ref(), &record.cluster, leadership.guard()).await?;
    Ok(Beginning { record, authority, leadership: Some(leadership), is_founder })
}
