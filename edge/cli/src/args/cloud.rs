//! Arguments about the cloud itself.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

/// How to run the cloud.
#[derive(Debug, Clone, Args)]
pub struct UpArgs {
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
    /// Where the router listens for HTTP, instead of 127.0.0.1:80
    #[arg(long, value_name = "ADDRESS")]
    pub router_bind: Option<SocketAddr>,
    /// Services are reached at NAME.DOMAIN
    #[arg(long, value_name = "DOMAIN", default_value = "localhost")]
    pub domain: String,
    /// What this machine is called [default: its host name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Where the state is kept.
    #[command(flatten)]
    pub at: super::StateAt,
    /// The door for agents on other machines.
    #[command(flatten)]
    pub agents: super::AgentsDoorArgs,
    /// What constraints can ask for, such as zone=a
    #[arg(long = "attribute", value_name = "KEY=VALUE", value_parser = pair)]
    pub attributes: Vec<(String, String)>,
}

/// The ports of the doors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Doors {
    /// The known ones.
    #[default]
    Default,
    /// Any free ones; `kogge doors` tells them.
    Ephemeral,
}

/// How to end the cloud.
#[derive(Debug, Clone, Args)]
pub struct DownArgs {
    /// Let the tasks run on; the next `kogge up` finds them
    #[arg(long)]
    pub keep_tasks: bool,
    /// Only tell what would be done
    #[arg(long)]
    pub plan: bool,
}

/// Which manual pages.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// Write one page a command into this directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}

pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}
