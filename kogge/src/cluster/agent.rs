//! `kogge agent`: tasks and a router on a machine that has joined.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use kogge_agent::{AgentConfig, AgentHandle, Leaving, Link, Stores};
use kogge_cli::{AgentArgs, Doors as Wish, Failure, Global};
use kogge_containers::Workers;
use kogge_containers::image::{Bounds, ImageStore, Keep, Limits};
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_link::{Dialed, DialerConfig, DialerPorts, Keeper, dial};
use kogge_model::view::DoorsView;
use kogge_router::{Router, RouterConfig};
use tokio::sync::watch;

use super::membership::{Membership, Settings};
use super::own_address;
use crate::adapters::{self, AgentDoor, ServerImages};
use crate::process::{self, Place, Ready, Signals};
use crate::told::failure;
use crate::up::{bind, default_at, publish, start_agent, withdraw};

/// Disk work at once.
const WORKERS: usize = 4;
/// How long each part may take to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks for images that nobody needs.
const COLLECT_EVERY: Duration = Duration::from_secs(3_600);
/// As on a server: what was used lately stays.
const IMAGES_BOUND: Bounds = Bounds { max_bytes: 20 << 30, min_idle: Duration::from_secs(24 * 3_600) };

/// A running agent.
struct Member {
    place: Place,
    doors: DoorsView,
    agent: AgentHandle,
    router: Router,
    group: TaskGroup,
}

/// Runs until a signal comes; the tasks run on.
pub(crate) fn run(args: &AgentArgs, global: &Global) -> Result<u8, Failure> {
    let place = Place::find(global)?;
    let Some(membership) = Membership::find(&place.data)? else {
        return Err(Failure::new(format!("{} is not that of a member", place.data.display()))
            .with_hint("join first: kogge join SERVER --token TOKEN"));
    };
    let words = words(args, &place);
    process::run(&place, args.detach.then_some(words), global.output, async |ready: &Ready| {
        let member = Box::pin(start(args, &place, membership)).await?;
        ready.up(&member.doors);
        Box::pin(member.run_to_end()).await
    })
}

/// The command of a process in the background: it need not join again.
fn words(args: &AgentArgs, place: &Place) -> Vec<std::ffi::OsString> {
    let mut words: Vec<std::ffi::OsString> =
        vec!["agent".into(), "--data".into(), place.data.clone().into_os_string()];
    let mut flag = |name: &str, value: String| words.extend([name.into(), value.into()]);
    if matches!(args.doors, Wish::Ephemeral) {
        flag("--doors", "ephemeral".to_owned());
    }
    if let Some(at) = args.router_bind {
        flag("--router-bind", at.to_string());
    }
    if let Some(name) = &args.name {
        flag("--name", name.clone());
    }
    if let Some(ip) = args.advertise {
        flag("--advertise", ip.to_string());
    }
    for (key, value) in &args.attributes {
        flag("--attribute", format!("{key}={value}"));
    }
    words
}

async fn start(args: &AgentArgs, place: &Place, membership: Membership) -> Result<Member, Failure> {
    let at = args.router_bind.unwrap_or_else(|| default_at(args.doors, 80));
    let (listener, at) = bind(DoorsView::ROUTER_HTTP, at, "--router-bind")?;
    let mut doors = DoorsView::default();
    doors.0.insert(DoorsView::ROUTER_HTTP.to_owned(), format!("http://{at}"));
    let group = TaskGroup::new("member");
    let settings = membership.settings().overlaid(args);
    let identity = membership.identity()?;
    let (agent_id, cluster) = (identity.certificate().peer().agent(), identity.authority().cluster().clone());
    let servers = membership.servers();
    let own = match settings.advertise {
        Some(ip) => ip,
        None => own_address::towards(&servers).await.unwrap_or(IpAddr::from([127, 0, 0, 1])),
    };
    let tasks = Arc::new(AgentDoor::new(group.clone()));
    let (publish_note, note) = watch::channel(bytes::Bytes::new());
    let ports = DialerPorts { tasks: tasks.clone(), note, keeper: Arc::new(membership) as Arc<dyn Keeper> };
    let config = DialerConfig::new(identity, servers, env!("CARGO_PKG_VERSION"));
    let Dialed { to_control, from_control, bulletin, handle } =
        dial(config, ports, &group).map_err(|error| failure("cannot link to the servers", &error))?;
    let sessions = handle.sessions();
    let tables = adapters::unpack(bulletin, &group);
    let router = Router::start(&group, RouterConfig::default(), tables.clone())
        .map_err(|error| failure("cannot start the router", &error))?;
    pass_on(adapters::note(&router, tables, &group), publish_note, &group);
    let peer = Arc::new(ServerImages::default());
    peer.bind(handle);
    let images = ImageStore::open(&place.image_store(), Limits::default(), Workers::new(WORKERS))
        .map_err(|error| failure("cannot open the image store", &error))?;
    let stores = Stores { images: images.clone(), workers: Workers::new(WORKERS), peer: Some(peer) };
    let mut config = configured(place, own, settings);
    (config.agent, config.cluster) = (agent_id, Some(cluster));
    let agent = start_agent(config, Link { to_control, from_control }, stores).await?;
    tasks.bind(agent.clone());
    introduce(&group, sessions, agent.clone());
    collect_images(&group, images, agent.clone());
    router.serve(listener);
    publish(&doors, &place.doors_file())?;
    Ok(Member { place: place.clone(), doors, agent, router, group })
}

fn configured(place: &Place, own: IpAddr, settings: Settings) -> AgentConfig {
    let mut config =
        AgentConfig::new(place.data.join("agent"), place.runtime().join("agent"), place.tag(), own);
    config.name = settings.name;
    config.attributes.extend(settings.attributes);
    config.hidden = vec![place.data.clone(), place.runtime()];
    config
}

/// The link is started before the router whose notes it carries.
fn pass_on(mut from: watch::Receiver<bytes::Bytes>, to: watch::Sender<bytes::Bytes>, group: &TaskGroup) {
    let token = group.token();
    group.spawn("notes for the servers", OnPanic::StopGroup, async move {
        loop {
            tokio::select! {
                () = token.cancelled() => return,
                changed = from.changed() => if changed.is_err() { return },
            }
            to.send_replace(from.borrow_and_update().clone());
        }
    });
}

/// With each session the agent presents itself.
fn introduce(group: &TaskGroup, mut sessions: watch::Receiver<u64>, agent: AgentHandle) {
    let token = group.token();
    group.spawn("introductions", OnPanic::StopGroup, async move {
        loop {
            tokio::select! {
                () = token.cancelled() => return,
                begun = sessions.changed() => if begun.is_err() { return },
            }
            agent.session_begun().await;
        }
    });
}

/// What was fetched is here until nothing has needed it for a while.
fn collect_images(group: &TaskGroup, images: ImageStore, agent: AgentHandle) {
    let token = group.token();
    group.spawn("collect-images", OnPanic::Log, async move {
        loop {
            tokio::select! {
                () = token.cancelled() => return,
                () = tokio::time::sleep(COLLECT_EVERY) => {}
            }
            let manifests = agent.pinned_images().await.into_iter().collect();
            let Ok(layers) = agent.layers_in_use().await else { continue };
            match images.collect(Keep { manifests, layers }, IMAGES_BOUND).await {
                Ok(collected) if collected.bytes > 0 => {
                    tracing::info!(bytes = collected.bytes, "images that nobody needs were removed");
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "images are not collected this time"),
            }
        }
    });
}

impl Member {
    async fn run_to_end(self) -> Result<(), Failure> {
        let mut signals = Signals::listen()?;
        process::settle(&self.group);
        let broken = tokio::select! {
            () = signals.any() => None,
            failed = self.agent.ended() => Some(failed.unwrap_or_else(|| "the agent has ended".to_owned())),
            () = self.group.cancelled() => {
                Some(self.group.has_failed().unwrap_or_else(|| "a part has ended".to_owned()))
            }
        };
        tracing::info!("the agent ends, its tasks run on");
        withdraw(&self.place.doors_file());
        let mut laggards = self.agent.shutdown(Leaving::Keep).await;
        laggards.extend(self.router.shutdown(PATIENCE).await);
        laggards.extend(self.group.shutdown(PATIENCE).await);
        for laggard in laggards {
            tracing::warn!(%laggard, "did not end in time and was cut off");
        }
        match broken {
            Some(text) => {
                Err(Failure::new(text).with_hint("tasks run on; start it again with `kogge agent`"))
            }
            None => Ok(()),
        }
    }
}
