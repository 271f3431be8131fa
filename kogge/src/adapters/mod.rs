//! Where the ports of the daemons meet: each adapter binds one port of one daemon to another daemon.

mod agent_wires;
mod apps;
mod base_image;
mod build_network;
mod builder_images;
mod bulletin;
mod cloud_tasks;
mod gate;
mod images;
mod no_tunnels;
mod remote_logs;
mod server_blobs;
mod server_images;
mod server_network;
mod task_door;
mod task_logs;

pub(crate) use agent_wires::{LateDoor, connect};
pub(crate) use apps::PushedApps;
pub(crate) use build_network::AgentNetwork;
pub(crate) use builder_images::BuildImages;
pub(crate) use bulletin::{AgentNotes, CloudDrains, note, pack, unpack};
pub(crate) use cloud_tasks::CloudTasks;
pub(crate) use gate::{MemberGate, ToldPresence};
pub(crate) use images::CloudImages;
pub(crate) use no_tunnels::NoTunnels;
pub(crate) use server_blobs::StoredBlobs;
pub(crate) use server_images::ServerImages;
pub(crate) use server_network::ServerNetwork;
pub(crate) use task_door::AgentDoor;
