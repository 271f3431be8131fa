//! Arguments about instances.

use clap::Args;

use crate::time::Since;

/// Which instances.
#[derive(Debug, Clone, Args)]
pub struct PsArgs {
    /// Only those of this app or service
    pub name: Option<String>,
    /// Tasks that are over, too
    #[arg(long, short)]
    pub all: bool,
}

/// Which lines.
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// App, service or instance; the app of this git checkout, or everything, when left out
    pub name: Option<String>,
    /// Go on with lines as they are written
    #[arg(long, short)]
    pub follow: bool,
    /// Only lines of the last 5m, or since a time such as 2026-11-21T14:45:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<Since>,
    /// Only the last N lines
    #[arg(long = "lines", short = 'n', value_name = "N")]
    pub tail: Option<u32>,
    /// Tell when each line was written
    #[arg(long, short)]
    pub timestamps: bool,
    /// Leave out whose line it is
    #[arg(long)]
    pub no_prefix: bool,
}

/// What to run where.
#[derive(Debug, Clone, Args)]
pub struct ExecArgs {
    /// Send standard input
    #[arg(long, short)]
    pub interactive: bool,
    /// Give it a terminal; both are on when this is a terminal
    #[arg(long, short)]
    pub tty: bool,
    /// Set a variable of its environment
    #[arg(long, short, value_name = "KEY=VALUE")]
    pub env: Vec<String>,
    /// user, uid, user:group or uid:gid, instead of the instance's own
    #[arg(long, short, value_name = "USER")]
    pub user: Option<String>,
    /// Such as web.1; a service means its first running instance
    pub instance: String,
    /// Program and arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub argv: Vec<String>,
}
