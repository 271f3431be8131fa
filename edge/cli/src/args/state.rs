//! Arguments about the cloud's state as a whole.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

/// What to do with the state.
#[derive(Debug, Clone, Subcommand)]
pub enum StateCommand {
    /// Read everything as a starting server would, and change nothing
    Check(StateAt),
    /// Write the state into a file
    Backup(BackupArgs),
    /// Make a backup the state of an empty engine
    Restore(RestoreArgs),
    /// Copy the state into another, empty engine; no server may run meanwhile
    Copy(CopyArgs),
}

/// Which state.
#[derive(Debug, Clone, Args)]
pub struct StateAt {
    /// embedded:DIR, etcd://HOST,…/PREFIX, zk://HOST,…/PATH, or file:PATH to read that from a file
    /// [default: the data directory's own]
    #[arg(long, value_name = "ENGINE", env = "KOGGE_STATE", hide_env_values = true)]
    pub state: Option<String>,
}

/// A backup to make.
#[derive(Debug, Clone, Args)]
pub struct BackupArgs {
    /// The file; it must not exist
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Which state.
    #[command(flatten)]
    pub at: StateAt,
}

/// A backup to bring back.
#[derive(Debug, Clone, Args)]
pub struct RestoreArgs {
    /// What `kogge state backup` wrote
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Which state.
    #[command(flatten)]
    pub at: StateAt,
    /// Only tell what would be done
    #[arg(long)]
    pub plan: bool,
}

/// A state to move.
#[derive(Debug, Clone, Args)]
pub struct CopyArgs {
    /// From where, written as for --state
    #[arg(long, value_name = "ENGINE")]
    pub from: String,
    /// To where, written as for --state
    #[arg(long, value_name = "ENGINE")]
    pub to: String,
    /// Only tell what would be done
    #[arg(long)]
    pub plan: bool,
}
