//! Arguments about servers and agents.

use clap::Subcommand;

use crate::time::Span;

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
    /// Make a token that lets one machine join, once
    Token {
        /// How long it is good for, such as 30m or 2h; 30d at most
        #[arg(long, value_name = "TIME", default_value = "1h")]
        ttl: Span,
    },
}
