//! Where the ports of the daemons meet: each adapter binds one port of one daemon to another daemon.

mod agent_links;
mod apps;
mod base_image;
mod build_network;
mod builder_images;
mod drains;
mod images;
#[allow(dead_code, reason = "bound by `kogge server`")]
mod remote_agents;
#[allow(dead_code, reason = "bound by `kogge server`")]
mod remote_logs;
#[allow(dead_code, reason = "bound by `kogge server`")]
mod remote_tasks;
#[allow(dead_code, reason = "bound by `kogge server`")]
mod server_blobs;
mod task_access;
#[allow(dead_code, reason = "bound by `kogge agent`")]
mod task_door;
mod task_logs;

pub(crate) use agent_links::connect;
pub(crate) use apps::PushedApps;
pub(crate) use build_network::AgentNetwork;
pub(crate) use builder_images::BuildImages;
pub(crate) use drains::RouterDrains;
pub(crate) use images::CloudImages;
pub(crate) use task_access::AgentTasks;
