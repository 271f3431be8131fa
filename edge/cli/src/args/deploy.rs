//! Arguments of `kogge deploy`. What is left out stays as it is, or takes the default when the service is new.

use clap::{Args, ValueEnum};

use super::service::Settle;
use crate::quantity::{Cpus, Size};
use crate::time::Span;

/// What to run.
#[derive(Debug, Clone, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["image", "command", "argv"])))]
pub struct DeployArgs {
    /// The image, such as hello:latest
    #[arg(long, value_name = "REF")]
    pub image: Option<String>,
    /// One line for /bin/sh; runs in the image if there is one
    #[arg(long, value_name = "CMD")]
    pub command: Option<String>,
    /// Program and arguments, instead of --command
    #[arg(last = true, value_name = "ARGS", conflicts_with = "command")]
    pub argv: Vec<String>,
    /// APP or APP/SERVICE; made from the image's name when left out
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Set a variable of its environment
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = variable)]
    pub env: Vec<(String, String)>,
    /// Take a variable away
    #[arg(long, value_name = "KEY")]
    pub unset: Vec<String>,
    /// How many instances [default: 1]
    #[arg(long, short = 'n', value_name = "N")]
    pub instances: Option<u32>,
    /// What for; stands in the history
    #[arg(long, short, value_name = "TEXT")]
    pub message: Option<String>,
    #[command(flatten)]
    pub settle: Settle,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub network: NetworkArgs,
    #[command(flatten)]
    pub health: HealthArgs,
    #[command(flatten)]
    pub place: PlaceArgs,
    #[command(flatten)]
    pub upgrade: UpgradeArgs,
}

/// Limits of one instance.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Limits of one instance")]
pub struct LimitArgs {
    /// Processor time, such as 0.5 [default: 0.1]
    #[arg(long, value_name = "CPUS")]
    pub cpus: Option<Cpus>,
    /// Memory, such as 64M or 1.5G [default: 128M]
    #[arg(long, value_name = "SIZE")]
    pub mem: Option<Size>,
    /// Disk to reserve
    #[arg(long, value_name = "SIZE")]
    pub disk: Option<Size>,
    /// Processes and threads [default: 512]
    #[arg(long, value_name = "N")]
    pub pids: Option<u32>,
    /// user, uid, user:group or uid:gid, instead of the image's own
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Refuse writes to the root file system
    #[arg(long)]
    pub read_only: bool,
}

/// How it meets the network.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Network")]
pub struct NetworkArgs {
    /// A port it listens on; the first one is routed [default: those the image names]
    #[arg(long = "port", short, value_name = "PORT")]
    pub ports: Vec<u16>,
    /// `bridge` gives it an address of its own, `host` the machine's network and a port in $PORT
    #[arg(long, value_name = "MODE")]
    pub network: Option<Network>,
    /// The same as --network host
    #[arg(long, conflicts_with = "network")]
    pub host_network: bool,
    /// A host name it is reached at, beside NAME.localhost
    #[arg(long = "host", value_name = "HOST")]
    pub hosts: Vec<String>,
}

/// How a service meets the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Network {
    /// An address of its own on the cloud's bridge.
    Bridge,
    /// The machine's own network.
    Host,
}

/// How health is found out.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Health")]
pub struct HealthArgs {
    /// /PATH (HTTP), tcp, cmd:COMMAND or none
    #[arg(long, value_name = "CHECK")]
    pub health: Option<String>,
    /// Failures within this time after the start are forgiven [default: 60s]
    #[arg(long, value_name = "TIME")]
    pub health_grace: Option<Span>,
    /// Between two checks [default: 5s]
    #[arg(long, value_name = "TIME")]
    pub health_interval: Option<Span>,
    /// How long one check may take [default: 2s]
    #[arg(long, value_name = "TIME")]
    pub health_timeout: Option<Span>,
    /// Failures in a row until an instance is replaced [default: 3]
    #[arg(long, value_name = "N")]
    pub health_failures: Option<u32>,
}

/// Where instances may run.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Placing")]
pub struct PlaceArgs {
    /// Only on agents with this attribute, such as zone=a or zone!=a
    #[arg(long, value_name = "KEY=VALUE")]
    pub on: Vec<String>,
    /// Spread evenly over the values of this attribute
    #[arg(long, value_name = "KEY")]
    pub spread: Vec<String>,
    /// No two instances on the same value of this attribute
    #[arg(long, value_name = "KEY")]
    pub unique: Vec<String>,
}

/// How instances are replaced.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Replacing and stopping")]
pub struct UpgradeArgs {
    /// Share of the instances that stays healthy meanwhile [default: 100]
    #[arg(long, value_name = "PERCENT")]
    pub min_healthy: Option<u32>,
    /// Share of the instances that may run on top meanwhile [default: 100]
    #[arg(long, value_name = "PERCENT")]
    pub max_surge: Option<u32>,
    /// Go back when it is not done by then [default: 10m]
    #[arg(long, value_name = "TIME")]
    pub deadline: Option<Span>,
    /// Never a second live copy: one that is cut off from the cluster for longer than its lease is stopped
    #[arg(long, overrides_with = "no_single")]
    pub single: bool,
    /// An ordinary service again
    #[arg(long, overrides_with = "single")]
    pub no_single: bool,
    /// Length of the lease of a single copy [default: 20s]
    #[arg(long, value_name = "TIME")]
    pub lease: Option<Span>,
    /// Between the stop signal and SIGKILL [default: 10s]
    #[arg(long, value_name = "TIME")]
    pub kill_grace: Option<Span>,
    /// How long requests in flight may take when an instance goes [default: 30s]
    #[arg(long, value_name = "TIME")]
    pub drain: Option<Span>,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}
