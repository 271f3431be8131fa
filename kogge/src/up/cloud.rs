//! All parts of the cloud, started and wired.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use kogge_agent::{Agent, AgentConfig, AgentHandle, Link, Stores};
use kogge_builder::Builder;
use kogge_builder::ports::BuildNetwork;
use kogge_cli::{Failure, UpArgs};
use kogge_containers::Workers;
use kogge_containers::image::{ImageStore, Limits};
use kogge_control::{Config, Facts, Handle, Ports, ServerRecord, StartError};
use kogge_discovery::RoutingTable;
use kogge_host::clock;
use kogge_host::tasks::TaskGroup;
use kogge_model::view::DoorsView;
use kogge_router::{Router, RouterConfig};
use kogge_store::Store;
use tokio::sync::watch;

use super::doors::{self, Doors};
use super::{api, end};
use crate::adapters::{
    self, AgentNetwork, AgentNotes, BuildImages, CloudDrains, CloudImages, CloudTasks, NoTunnels, PushedApps,
};
use crate::cluster::{AgentsDoor, Belonging, Served};
use crate::process::Place;
use crate::state::Engine;
use crate::told::{failure, hinted};

/// Disk work at once.
const WORKERS: usize = 4;
/// Revisions of the tree that are kept.
pub(crate) const KEEP_REVISIONS: usize = 10_000;

/// The running cloud.
pub(crate) struct Cloud {
    pub(crate) doors: DoorsView,
    pub(super) place: Place,
    pub(super) store: Arc<dyn Store>,
    pub(super) control: Handle,
    pub(super) agent: AgentHandle,
    pub(super) router: Router,
    /// Control alone: it ends before the tasks do, or it would start them again.
    pub(super) control_group: TaskGroup,
    /// API, builder and everything else.
    pub(super) edge_group: TaskGroup,
}

impl Cloud {
    /// Starts everything, or nothing stays.
    pub(crate) async fn start(args: &UpArgs, place: &Place) -> Result<Self, Failure> {
        let store = Engine::choose(args.at.state.as_deref(), &place.data)?.open().await?;
        let Doors { api, router: router_door, agents: agents_door, view, router_port } = Doors::open(args)?;
        let own = agents_door.as_ref().map(AgentsDoor::own_ip).transpose()?;
        let own = own.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let images = ImageStore::open(&place.image_store(), Limits::default(), Workers::new(WORKERS))
            .map_err(|error| failure("cannot open the image store", &error))?;
        let (control_group, edge_group) = (TaskGroup::new("control"), TaskGroup::new("edge"));
        let (publish, tables) = watch::channel(Arc::new(RoutingTable::default()));
        let router = Router::start(&edge_group, RouterConfig::default(), tables.clone())
            .map_err(|error| failure("cannot start the router", &error))?;
        let agent_id = kogge_agent::agent_id(&place.data.join("agent"))
            .map_err(|error| hinted(failure("cannot use the agent's directory", &error), error.hint()))?;
        let wires = adapters::connect(Some(agent_id.clone()));
        let tasks = Arc::new(CloudTasks::new(Arc::clone(&wires.door)));
        let notes = Arc::new(AgentNotes::default());
        let cloud_images = CloudImages {
            store: images.clone(),
            scratch: place.data.join("base"),
            group: edge_group.clone(),
        };
        let ports = Ports {
            agents: wires.control,
            tasks: tasks.clone(),
            images: Arc::new(cloud_images),
            routing: publish,
            drains: Arc::new(CloudDrains { local: Some(router.clone()), agents: Arc::clone(&notes) }),
        };
        let config = Config {
            domain: args.domain.clone(),
            router_port,
            api_url: api.url.clone(),
            api_tls_url: api.tls_url.clone(),
            is_alone: true,
            keep_revisions: KEEP_REVISIONS,
        };
        let server = ServerRecord {
            name: "server".to_owned(),
            door: agents_door.as_ref().map(|door| door.address.clone()),
            api: config.api_url.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let belonging = Belonging::find(&place.cluster_file())?;
        let facts = Facts { served: belonging.cluster(), ..facts(place, &view, server, true) };
        let control = kogge_control::start(config, Arc::clone(&store), ports, facts, &control_group)
            .await
            .map_err(|error| start_failure(&error, place))?;
        let stores = Stores { images: images.clone(), workers: Workers::new(WORKERS), peer: None };
        let link = wires.agent.expect("a cloud with an agent of its own has wires to it");
        let agent = start_agent(agent_config(args, place, own, &control), link, stores).await?;
        belonging.note(control.cluster());
        tasks.bind(agent_id, agent.clone());
        let apps = PushedApps { control: control.clone(), images: images.clone() };
        let network = Arc::new(AgentNetwork(agent.clone()));
        let builder = start_builder(place, apps, &images, network, &edge_group)?;
        end::collect_images(&edge_group, images.clone(), control.clone(), Some(agent.clone()));
        let routes = api::routes(&control, builder.routes(), &edge_group);
        api::serve(api, routes, &control, &edge_group)?;
        if let Some(door) = agents_door {
            let served = Served {
                name: "server",
                control: &control,
                images: &images,
                tables,
                notes,
                tunnels: Arc::new(NoTunnels),
                incoming: wires.incoming,
            };
            // The one who opens it is the only one who sets it.
            let _ = wires.door.set(door.serve(served, &edge_group)?);
        }
        router.serve(router_door);
        doors::publish(&view, &place.doors_file())?;
        let place = place.clone();
        Ok(Self { doors: view, place, store, control, agent, router, control_group, edge_group })
    }
}

pub(crate) fn facts(place: &Place, doors: &DoorsView, server: ServerRecord, ends_tasks: bool) -> Facts {
    Facts {
        doors: doors.clone(),
        data_dir: place.data.display().to_string(),
        server,
        served: None,
        ends_tasks,
        started_at: clock::now(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Why control does not start, and what to do.
pub(crate) fn start_failure(error: &StartError, place: &Place) -> Failure {
    let hint = match error {
        StartError::Led => {
            "stop the server that leads, or name another prefix or path: two clouds cannot share one; several \
             servers of one cloud are started with `kogge server`"
                .to_owned()
        }
        StartError::OtherState { .. } => format!(
            "correct --state, or restore it: kogge state restore; to make this a new cluster on purpose, remove {}",
            place.cluster_file().display()
        ),
        StartError::NameTaken(_) => "give each server a name of its own with --name".to_owned(),
        _ => format!(
            "the data directory is {}; restore it from a backup, or name another with --data",
            place.data.display()
        ),
    };
    failure("control cannot take over the state", error).with_hint(hint)
}

fn agent_config(args: &UpArgs, place: &Place, own: IpAddr, control: &Handle) -> AgentConfig {
    let mut config =
        AgentConfig::new(place.data.join("agent"), place.runtime().join("agent"), place.tag(), own);
    // A state of another cluster than the agent's is refused: absence of state is never an order to kill (G4).
    config.cluster = Some(control.cluster().clone());
    config.name.clone_from(&args.name);
    config.attributes.extend(args.attributes.iter().cloned());
    config.hidden = vec![place.data.clone(), place.runtime()];
    config
}

/// Starts an agent, or says what to do.
pub(crate) async fn start_agent(
    config: AgentConfig,
    link: Link,
    stores: Stores,
) -> Result<AgentHandle, Failure> {
    let started = Agent::start(config, link, stores).await;
    started.map_err(|error| hinted(failure("cannot start the agent", &error), error.hint()))
}

/// Starts the builder with the network its builds get.
pub(crate) fn start_builder(
    place: &Place,
    apps: PushedApps,
    images: &ImageStore,
    network: Arc<dyn BuildNetwork>,
    group: &TaskGroup,
) -> Result<Builder, Failure> {
    let program = std::env::current_exe().map_err(|error| failure("cannot find this program", &error))?;
    let config = kogge_builder::Config::new(
        place.data.join("builder"),
        place.runtime().join("builder"),
        program,
        format!("/kogge-{}/builds", place.tag()),
    );
    Builder::start(config, Arc::new(apps), Arc::new(BuildImages(images.clone())), network, group)
        .map_err(|error| failure("cannot start the builder", &error))
}
