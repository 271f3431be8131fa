//! A router with a table that never changes, for measuring: `plain_router LISTEN BACKEND…`.
//!
//! Every host goes to one service whose instances are the given addresses. Runs until it is ended; two worker threads
//! unless `WORKERS` says otherwise.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use kogge_discovery::{Discovery, Instance, InstanceState, Route};
use kogge_host::tasks::TaskGroup;
use kogge_model::id::{AgentId, Generation, RunId, TaskId};
use kogge_model::name::{InstanceId, ServiceId};
use kogge_model::reason::Reason;
use kogge_model::service::RouteSpec;
use kogge_router::{Router, RouterConfig};
use tokio::sync::watch;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The one word this program has for people.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{error}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let addresses: Vec<SocketAddr> =
        std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let [listen, backends @ ..] = addresses.as_slice() else {
        return Err("usage: plain_router LISTEN BACKEND…".into());
    };
    let workers = std::env::var("WORKERS").map_or(Ok(2), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    runtime.block_on(async {
        let group = TaskGroup::new("plain router");
        let (_tables, receiver) = watch::channel(table(backends)?);
        let router = Router::start(&group, RouterConfig::default(), receiver)?;
        router.serve(kogge_host::listener::bind("router_http", *listen)?);
        group.cancelled().await;
        Ok(())
    })
}

fn table(backends: &[SocketAddr]) -> Result<Arc<kogge_discovery::RoutingTable>, Failure> {
    let service: ServiceId = "bench".parse()?;
    let mut discovery = Discovery::new(Generation(0));
    discovery.catalog_mut().declare(&service, Reason::new("no backend was given"));
    for (number, &endpoint) in (1..).zip(backends) {
        discovery.catalog_mut().record(Instance {
            instance: InstanceId { service: service.clone(), number },
            task: TaskId::new(format!("bench.{number}")),
            run: RunId(u64::from(number)),
            agent: AgentId::new("local"),
            endpoint,
            state: InstanceState::Healthy,
            version: String::new(),
        });
    }
    discovery.set_routes([Route::declared(&service, &RouteSpec { host: None, path: "/".to_owned() })?]);
    discovery.refresh();
    Ok(Arc::clone(discovery.table()))
}
