//! Arguments about apps.

use clap::Args;

/// Which app to make.
#[derive(Debug, Clone, Args)]
pub struct CreateArgs {
    /// 1 to 63 of a-z, 0-9 and -
    pub name: String,
    /// Leave the git checkout alone
    #[arg(long)]
    pub no_remote: bool,
    /// Only tell what would be done
    #[arg(long)]
    pub plan: bool,
}
