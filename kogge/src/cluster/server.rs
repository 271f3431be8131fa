//! `kogge server`: one of the servers of a cloud. One of them leads, any of them answers.

use std::sync::Arc;
use std::time::Duration;

use kogge_builder::Builder;
use kogge_builder::ports::BuildNetwork;
use kogge_cli::{Failure, Global, ServerRunArgs};
use kogge_containers::Workers;
use kogge_containers::image::{ImageStore, Limits};
use kogge_containers::network::NetworkConfig;
use kogge_control::{Config, Down, Facts, Handle, Ports, ServerRecord};
use kogge_discovery::RoutingTable;
use kogge_host::tasks::TaskGroup;
use kogge_model::view::DoorsView;
use kogge_store::Store;
use tokio::sync::watch;

use super::agents_door::{AgentsDoor, Served};
use super::belonging::Belonging;
use super::forward::{Forward, ForwardedRequests};
use super::replicate;
use crate::adapters::{self, AgentNotes, CloudDrains, CloudImages, CloudTasks, PushedApps, ServerNetwork};
use crate::process::{self, Place, Ready, Signals, Threads};
use crate::state::Engine;
use crate::told::failure;
use crate::up::{self, ApiDoors, KEEP_REVISIONS, default_at, publish, start_failure, withdraw};

/// Disk work at once.
const WORKERS: usize = 4;
/// How long each part may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running server.
struct Server {
    place: Place,
    doors: DoorsView,
    store: Arc<dyn Store>,
    control: Handle,
    control_group: TaskGroup,
    edge_group: TaskGroup,
    // Last: the store lives there.
    _threads: [Threads; 2],
}

/// Runs until it is asked to end.
pub(crate) fn run(args: &ServerRunArgs, global: &Global) -> Result<u8, Failure> {
    let place = Place::find(global)?;
    let background = args.detach.then(process::own_words);
    process::run(&place, background, global.output, async |ready: &Ready| {
        let server = Box::pin(Server::start(args, &place)).await?;
        ready.up(&server.doors);
        Box::pin(server.run_to_end()).await
    })
}

impl Server {
    async fn start(args: &ServerRunArgs, place: &Place) -> Result<Self, Failure> {
        let engine = Engine::choose(args.at.state.as_deref(), &place.data)?;
        let is_alone = engine.is_embedded();
        let mut doors = DoorsView::default();
        let api = ApiDoors::open(args.api_bind, &args.api_names, args.doors, &mut doors)?;
        let at = args.agents.agents_bind.unwrap_or_else(|| default_at(args.doors, kogge_link::DEFAULT_PORT));
        let door = AgentsDoor::open(at, &args.agents)?;
        doors.0.insert(DoorsView::AGENTS.to_owned(), door.address.to_string());
        let name = args.name.clone().unwrap_or_else(host_name);
        let threads = [Threads::start("state-engine", 1)?, Threads::start("control", 2)?];
        let [engine_thread, control_threads] = &threads;
        let store = engine_thread.run(async move { engine.open().await }).await?;
        let images = ImageStore::open(&place.image_store(), Limits::default(), Workers::new(WORKERS))
            .map_err(|error| failure("cannot open the image store", &error))?;
        let (control_group, edge_group) = (control_threads.group("control"), TaskGroup::new("edge"));
        let (publish_table, tables) = watch::channel(Arc::new(RoutingTable::default()));
        let wires = adapters::connect(None);
        let notes = Arc::new(AgentNotes::default());
        let cloud_images = CloudImages {
            store: images.clone(),
            scratch: place.data.join("base"),
            group: edge_group.clone(),
        };
        let ports = Ports {
            agents: wires.control,
            tasks: Arc::new(CloudTasks::new(Arc::clone(&wires.door))),
            images: Arc::new(cloud_images),
            routing: publish_table,
            drains: Arc::new(CloudDrains { local: None, agents: Arc::clone(&notes) }),
        };
        let config = Config {
            domain: args.domain.clone(),
            router_port: args.router_port,
            api_url: api.url.clone(),
            api_tls_url: api.tls_url.clone(),
            is_alone,
            keep_revisions: KEEP_REVISIONS,
        };
        let own = ServerRecord {
            name: name.clone(),
            door: Some(door.address.clone()),
            api: api.tls_url.clone().unwrap_or_else(|| api.url.clone()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let belonging = Belonging::find(&place.cluster_file())?;
        let facts = Facts { served: belonging.cluster(), ..up::facts(place, &doors, own, false) };
        let control = kogge_control::start(config, Arc::clone(&store), ports, facts, &control_group)
            .await
            .map_err(|error| start_failure(&error, place))?;
        belonging.note(control.cluster());
        let builder = start_builder(place, &control, &images, &edge_group)?;
        up::collect_images(&edge_group, images.clone(), control.clone(), None);
        let routes = up::routes(&control, builder.routes(), &edge_group);
        let forwarded = Arc::new(ForwardedRequests::default());
        forwarded.bind(routes.clone(), control.clone(), edge_group.clone());
        let served = Served {
            name: &name,
            control: &control,
            images: &images,
            tables,
            notes,
            tunnels: forwarded,
            incoming: wires.incoming,
        };
        // The one who opens it is the only one who sets it.
        let _ = wires.door.set(door.serve(served, &edge_group)?);
        if !is_alone {
            replicate::start(&name, &control, &images, Arc::clone(&wires.door), &edge_group);
        }
        let forward = Forward::new(control.clone(), wires.door, edge_group.clone());
        // The guard comes before anything is passed on: the leader cannot tell who asked this server.
        let routes = kogge_api::guard(forward.before(routes));
        up::serve_api(api, routes, &control, &edge_group)?;
        publish(&doors, &place.doors_file())?;
        let place = place.clone();
        Ok(Self { place, doors, store, control, control_group, edge_group, _threads: threads })
    }

    async fn run_to_end(self) -> Result<(), Failure> {
        let mut signals = Signals::listen()?;
        process::settle(&self.edge_group);
        let broken = tokio::select! {
            Down { .. } = self.control.asked_down() => None,
            () = signals.any() => None,
            reason = self.control.ended() => Some(reason.text),
            () = self.edge_group.cancelled() => {
                Some(self.edge_group.has_failed().unwrap_or_else(|| "a part has ended".to_owned()))
            }
        };
        tracing::info!("the server ends, tasks run on");
        withdraw(&self.place.doors_file());
        let mut laggards = self.control_group.shutdown(PATIENCE).await;
        laggards.extend(self.edge_group.shutdown(PATIENCE).await);
        // It holds nothing that is needed again: a server has no tasks.
        let _ = std::fs::remove_dir_all(self.place.runtime());
        for laggard in laggards {
            tracing::warn!(%laggard, "did not end in time and was cut off");
        }
        // Another server must not wait for what this one held.
        self.store.close().await;
        match broken {
            Some(text) => {
                Err(Failure::new(text).with_hint("tasks run on; start it again with `kogge server`"))
            }
            None => Ok(()),
        }
    }
}

fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    // It stands in a certificate.
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '-' }).collect()
}

fn start_builder(
    place: &Place,
    control: &Handle,
    images: &ImageStore,
    group: &TaskGroup,
) -> Result<Builder, Failure> {
    let network = NetworkConfig {
        cloud_tag: place.tag(),
        data_dir: place.data.join("network"),
        runtime_dir: place.runtime().join("network"),
        subnet: None,
        open_ports: Vec::new(),
    };
    let network: Arc<dyn BuildNetwork> = Arc::new(ServerNetwork::new(network, group.clone()));
    let apps = PushedApps { control: control.clone(), images: images.clone() };
    up::start_builder(place, apps, images, network, group)
}
