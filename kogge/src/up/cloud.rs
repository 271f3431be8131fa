//! All parts of the cloud, started and wired.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use kogge_agent::{Agent, AgentConfig, AgentHandle, Stores};
use kogge_builder::Builder;
use kogge_cli::{Failure, UpArgs};
use kogge_containers::Workers;
use kogge_containers::image::{ImageStore, Limits};
use kogge_control::{Config, Facts, Handle, Ports, StartError};
use kogge_discovery::RoutingTable;
use kogge_host::clock;
use kogge_host::tasks::TaskGroup;
use kogge_model::view::DoorsView;
use kogge_router::{Router, RouterConfig};
use kogge_store::Store;
use tokio::sync::watch;

use super::doors::{self, Doors};
use super::place::Place;
use super::{api, end};
use crate::adapters::{self, AgentNetwork, AgentTasks, BuildImages, CloudImages, PushedApps, RouterDrains};
use crate::state::Engine;
use crate::told::failure;

/// Disk work at once.
const WORKERS: usize = 4;
/// Revisions of the tree that are kept.
const KEEP_REVISIONS: usize = 10_000;

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
        let doors = Doors::open(args)?;
        let images = ImageStore::open(&place.image_store(), Limits::default(), Workers::new(WORKERS))
            .map_err(|error| failure("cannot open the image store", &error))?;
        let (control_group, edge_group) = (TaskGroup::new("control"), TaskGroup::new("edge"));
        let (publish, tables) = watch::channel(Arc::new(RoutingTable::default()));
        let router = Router::start(&edge_group, RouterConfig::default(), tables)
            .map_err(|error| failure("cannot start the router", &error))?;
        let links = adapters::connect();
        let tasks = Arc::new(AgentTasks::default());
        let cloud_images = CloudImages {
            store: images.clone(),
            scratch: place.data.join("base"),
            group: edge_group.clone(),
        };
        let ports = Ports {
            agents: links.control,
            tasks: tasks.clone(),
            images: Arc::new(cloud_images),
            routing: publish,
            drains: Arc::new(RouterDrains(router.clone())),
        };
        let control = kogge_control::start(
            control_config(args, &doors),
            Arc::clone(&store),
            ports,
            facts(place, &doors),
            &control_group,
        )
        .await
        .map_err(|error| start_failure(&error, place))?;
        let stores = Stores { images: images.clone(), workers: Workers::new(WORKERS) };
        let agent = Agent::start(agent_config(args, place, &control), links.agent, stores).await.map_err(
            |error| {
                let failed = failure("cannot start the agent", &error);
                match error.hint() {
                    Some(hint) => failed.with_hint(hint),
                    None => failed,
                }
            },
        )?;
        tasks.bind(agent.clone());
        let builder = start_builder(place, &control, &agent, &images, &edge_group)?;
        end::collect_images(&edge_group, images, control.clone(), agent.clone());
        api::serve(doors.api, &control, builder.routes(), &edge_group);
        router.serve(doors.router);
        doors::publish(&doors.view, &place.doors_file())?;
        let place = place.clone();
        Ok(Self { doors: doors.view, place, store, control, agent, router, control_group, edge_group })
    }
}

fn control_config(args: &UpArgs, doors: &Doors) -> Config {
    Config {
        domain: args.domain.clone(),
        router_port: doors.router_port,
        api_url: doors.api_url(),
        keep_revisions: KEEP_REVISIONS,
    }
}

fn facts(place: &Place, doors: &Doors) -> Facts {
    Facts {
        doors: doors.view.clone(),
        data_dir: place.data.display().to_string(),
        started_at: clock::now(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn start_failure(error: &StartError, place: &Place) -> Failure {
    let hint = match error {
        StartError::Led => {
            "stop the server that leads, or name another prefix or path: two clouds cannot share one"
                .to_owned()
        }
        _ => format!(
            "the data directory is {}; restore it from a backup, or name another with --data",
            place.data.display()
        ),
    };
    failure("control cannot take over the state", error).with_hint(hint)
}

fn agent_config(args: &UpArgs, place: &Place, control: &Handle) -> AgentConfig {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut config =
        AgentConfig::new(place.data.join("agent"), place.runtime().join("agent"), place.tag(), loopback);
    // With an empty or foreign state this start is refused: absence of state is never an order to kill (G4).
    config.cluster = Some(control.cluster().clone());
    config.name.clone_from(&args.name);
    config.attributes.extend(args.attributes.iter().cloned());
    config.hidden = vec![place.data.clone(), place.runtime()];
    config
}

fn start_builder(
    place: &Place,
    control: &Handle,
    agent: &AgentHandle,
    images: &ImageStore,
    group: &TaskGroup,
) -> Result<Builder, Failure> {
    let program = std::env::current_exe().map_err(|error| failure("cannot find this program", &error))?;
    let config = kogge_builder::Config::new(
        place.data.join("builder"),
        place.runtime().join("builder"),
        program,
        format!("/kogge-{}/builds", place.tag()),
    );
    let apps = PushedApps { control: control.clone(), images: images.clone() };
    let network = AgentNetwork(agent.clone());
    Builder::start(config, Arc::new(apps), Arc::new(BuildImages(images.clone())), Arc::new(network), group)
        .map_err(|error| failure("cannot start the builder", &error))
}
