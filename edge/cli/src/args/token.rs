//! Arguments about tokens of operators.

use clap::{Args, Subcommand};

use crate::time::Life;

/// What to do with tokens.
#[derive(Debug, Clone, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it, this once
    Create(CreateTokenArgs),
    /// List tokens, without their secrets
    #[command(alias = "ls")]
    List,
    /// Take tokens back: from now on they open nothing
    #[command(alias = "rm")]
    Revoke {
        /// Names or ids, as `kogge token list` tells them
        #[arg(value_name = "TOKEN", required = true)]
        tokens: Vec<String>,
    },
}

/// Which token.
#[derive(Debug, Clone, Args)]
pub struct CreateTokenArgs {
    /// Whoever uses it is called so in the history
    pub name: String,
    /// How long it is good for, such as 12h or 90d; `never` means until it is revoked
    #[arg(long, value_name = "TIME", default_value = "90d")]
    pub expires: Life,
}
