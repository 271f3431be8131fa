//! Arguments about servers and agents.

use clap::Subcommand;

/// What to know of servers and agents.
#[derive(Debug, Clone, Subcommand)]
pub enum NodeCommand {
    /// List servers and agents
    #[command(alias = "ls")]
    List,
    /// Tell about one
    Info {
        /// Its name, as `kogge node list` tells it
        name: String,
    },
}
