//! Everything one can type. One definition a flag: help, completion and manual pages come from here.

mod app;
mod cloud;
mod cluster;
pub(crate) mod deploy;
mod image;
mod instance;
mod node;
mod service;
mod state;
mod token;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

pub(crate) use app::CreateArgs;
pub use cloud::{Doors, UpArgs};
pub(crate) use cloud::{DownArgs, ManArgs};
pub use cluster::{AgentArgs, AgentsDoorArgs, JoinArgs, LeaveArgs, ServerRunArgs};
pub(crate) use cluster::{ServerArgs, ServerCommand};
pub(crate) use deploy::DeployArgs;
pub(crate) use image::{BuildBaseArgs, ImageCommand, LoadArgs, RemoveArgs};
pub(crate) use instance::{ExecArgs, LogsArgs, PsArgs};
pub(crate) use node::{DrainArgs, ForgetArgs, LabelArgs, NodeArgs, NodeCommand, ReserveArgs};
pub(crate) use service::{DestroyArgs, ScaleArgs, ServicesArgs, Settle};
pub use state::{BackupArgs, CopyArgs, RestoreArgs, StateAt, StateCommand};
pub(crate) use token::{CreateTokenArgs, TokenCommand};

/// An indoor cloud in a single binary: code goes in with `git push`, services come out.
#[derive(Debug, Clone, Parser)]
#[command(name = "kogge", version, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    /// Which cloud, and how to tell.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Which cloud is meant, and how answers look.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which cloud, and how to tell")]
pub struct Global {
    /// The cloud's data directory [default: /var/lib/kogge]
    #[arg(long, global = true, value_name = "DIR", env = "KOGGE_DATA", hide_env_values = true,
          value_hint = ValueHint::DirPath)]
    pub data: Option<PathBuf>,
    /// The URL of the cloud's API, or of several servers' separated by commas; wins over --data
    #[arg(long, global = true, value_name = "URL", env = "KOGGE_API", hide_env_values = true)]
    pub api: Option<String>,
    /// The file with the token for https:// [default: KOGGE_TOKEN itself, or ~/.config/kogge/token]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub token_file: Option<PathBuf>,
    /// How answers are told
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", hide_default_value = true)]
    pub output: Format,
}

/// How answers are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs; streams are one value a line.
    Json,
}

/// Everything one can do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Run the cloud: server, agent and router in this process
    Up(UpArgs),
    /// Run a server of a cloud of several machines
    Server(Box<ServerArgs>),
    /// Make this machine a part of a cloud, and run its agent
    Join(Box<JoinArgs>),
    /// Run the agent of a machine that has joined
    Agent(Box<AgentArgs>),
    /// End the agent of this machine with all its tasks, and forget the cloud
    Leave(LeaveArgs),
    /// End the cloud and its tasks
    Down(DownArgs),
    /// Tell how the cloud is
    Status,
    /// Tell where the cloud can be talked to
    Doors,
    /// Make an app to push to, and add the git remote `kogge` to the checkout
    #[command(alias = "apps:create")]
    Create(CreateArgs),
    /// List apps
    #[command(alias = "apps:list")]
    Apps,
    /// Run an image or a command as a service, and wait until it is healthy
    Deploy(Box<DeployArgs>),
    /// List instances
    #[command(alias = "ps:list")]
    Ps(PsArgs),
    /// Change numbers of instances
    #[command(alias = "ps:scale")]
    Scale(ScaleArgs),
    /// Replace all instances, a few at a time
    #[command(alias = "ps:restart")]
    Restart(ServicesArgs),
    /// End all instances; `scale`, `restart` and `deploy` start them again
    #[command(alias = "ps:stop")]
    Stop(ServicesArgs),
    /// End apps or services for good
    #[command(alias = "apps:destroy")]
    Destroy(DestroyArgs),
    /// Show what instances wrote
    Logs(LogsArgs),
    /// Run a command inside a running instance
    Exec(ExecArgs),
    /// Tell why an app, a service or an instance is as it is
    Why {
        /// App, service, instance or task; the app of this git checkout when left out
        name: Option<String>,
    },
    /// Work with images
    #[command(subcommand, alias = "images")]
    Image(ImageCommand),
    /// Look at servers and agents, and say what they are for
    #[command(subcommand, alias = "nodes")]
    Node(NodeCommand),
    /// Say who may use the cloud from other machines
    #[command(subcommand, alias = "tokens")]
    Token(TokenCommand),
    /// Check, save, bring back or move the state of a cloud that does not run
    #[command(subcommand)]
    State(StateCommand),
    /// Print the certificate that makes curl and others believe the cloud's servers
    Ca,
    /// Let git push from this checkout to a cloud behind https://
    GitConfig,
    /// Tell git the token; git asks by itself after `kogge git-config`
    #[command(hide = true)]
    GitCredential {
        /// What git wants: get, store, erase.
        operation: String,
    },
    /// Show what happens, as it happens
    Events,
    /// Print a script that completes commands
    Completion {
        /// Whose script
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write all of them
    Man(ManArgs),
    /// Supervise one task; started by the agent only
    #[command(hide = true, disable_help_flag = true)]
    Shim {
        /// As the agent wrote them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

impl Command {
    /// The word it is called by.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Up(_) => "up",
            Self::Server(_) => "server",
            Self::Join(_) => "join",
            Self::Agent(_) => "agent",
            Self::Leave(_) => "leave",
            Self::Down(_) => "down",
            Self::Status => "status",
            Self::Doors => "doors",
            Self::Create(_) => "create",
            Self::Apps => "apps",
            Self::Deploy(_) => "deploy",
            Self::Ps(_) => "ps",
            Self::Scale(_) => "scale",
            Self::Restart(_) => "restart",
            Self::Stop(_) => "stop",
            Self::Destroy(_) => "destroy",
            Self::Logs(_) => "logs",
            Self::Exec(_) => "exec",
            Self::Why { .. } => "why",
            Self::Image(_) => "image",
            Self::Node(_) => "node",
            Self::Token(_) => "token",
            Self::State(_) => "state",
            Self::Ca => "ca",
            Self::GitConfig => "git-config",
            Self::GitCredential { .. } => "git-credential",
            Self::Events => "events",
            Self::Completion { .. } => "completion",
            Self::Man(_) => "man",
            Self::Shim { .. } => "shim",
        }
    }
}
