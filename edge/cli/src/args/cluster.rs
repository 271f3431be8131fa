//! Arguments about clouds of several machines.

use std::net::{IpAddr, SocketAddr};

use clap::{Args, Subcommand};

use super::StateAt;
use super::cloud::{Doors, pair};

/// How other machines come in.
#[derive(Debug, Clone, Default, Args)]
pub struct AgentsDoorArgs {
    /// Where other machines come in over mutual TLS, such as 0.0.0.0:7401
    #[arg(long, value_name = "ADDRESS")]
    pub agents_bind: Option<SocketAddr>,
    /// The name or address other machines reach this one at [default: that of --agents-bind]
    #[arg(long, value_name = "HOST")]
    pub advertise: Option<String>,
}

/// How to run a server.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ServerArgs {
    /// What the leader is asked to do.
    #[command(subcommand)]
    pub command: Option<ServerCommand>,
    /// How to run it.
    #[command(flatten)]
    pub run: ServerRunArgs,
}

/// What to ask of the leader.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ServerCommand {
    /// Hand the lead over to another server, without waiting for a lease to end
    StepDown,
}

/// How to run a server.
#[derive(Debug, Clone, Args)]
pub struct ServerRunArgs {
    /// Leave it running in the background, and return when it is up
    #[arg(long, short)]
    pub detach: bool,
    /// The ports of the doors
    #[arg(long, value_name = "PORTS", default_value = "default")]
    pub doors: Doors,
    /// Where the API listens: on loopback instead of 127.0.0.1:7400, elsewhere beside it, with TLS and tokens
    #[arg(long, value_name = "ADDRESS")]
    pub api_bind: Option<SocketAddr>,
    /// Names or addresses under which others reach the API, for its certificate; the first stands in URLs
    #[arg(long = "api-name", value_name = "HOST", value_delimiter = ',')]
    pub api_names: Vec<String>,
    /// The door for agents and other servers.
    #[command(flatten)]
    pub agents: AgentsDoorArgs,
    /// Services are reached at NAME.DOMAIN
    #[arg(long, value_name = "DOMAIN", default_value = "localhost")]
    pub domain: String,
    /// The port of the agents' routers, in the URLs that are told
    #[arg(long, value_name = "PORT", default_value_t = 80)]
    pub router_port: u16,
    /// What this server is called [default: its host name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Where the state is kept.
    #[command(flatten)]
    pub at: StateAt,
}

/// How to run an agent.
#[derive(Debug, Clone, Args)]
pub struct AgentArgs {
    /// Leave it running in the background, and return when it is up
    #[arg(long, short)]
    pub detach: bool,
    /// The ports of the doors
    #[arg(long, value_name = "PORTS", default_value = "default")]
    pub doors: Doors,
    /// Where the router listens for HTTP, instead of 127.0.0.1:80
    #[arg(long, value_name = "ADDRESS")]
    pub router_bind: Option<SocketAddr>,
    /// What this machine is called [default: its host name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The address other machines reach this one at [default: the one it reaches the servers from]
    #[arg(long, value_name = "IP")]
    pub advertise: Option<IpAddr>,
    /// What constraints can ask for, such as zone=a
    #[arg(long = "attribute", value_name = "KEY=VALUE", value_parser = pair)]
    pub attributes: Vec<(String, String)>,
}

/// How to become a part of a cloud.
#[derive(Debug, Clone, Args)]
pub struct JoinArgs {
    /// A server of the cloud, as HOST or HOST:PORT; the port is 7401 when left out
    pub server: String,
    /// What `kogge node token` told; better given by the environment, where other users do not see it
    #[arg(long, value_name = "TOKEN", env = "KOGGE_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Only become a member; `kogge agent` starts it
    #[arg(long)]
    pub no_start: bool,
    /// How to run the agent.
    #[command(flatten)]
    pub agent: AgentArgs,
}

/// How to leave a cloud.
#[derive(Debug, Clone, Copy, Args)]
pub struct LeaveArgs {
    /// Only tell what would be done
    #[arg(long)]
    pub plan: bool,
}
