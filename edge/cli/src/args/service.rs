//! Arguments about services that stand.

use std::str::FromStr;

use clap::Args;

/// Whether a change is carried out, and waited for.
#[derive(Debug, Clone, Copy, Args)]
pub struct Settle {
    /// Only tell what would change
    #[arg(long)]
    pub plan: bool,
    /// Do not wait until it is done
    #[arg(long, short)]
    pub detach: bool,
}

/// Which numbers.
#[derive(Debug, Clone, Args)]
pub struct ScaleArgs {
    /// How many instances of which service
    #[arg(value_name = "NAME=N", required = true)]
    pub wishes: Vec<Scale>,
    #[command(flatten)]
    pub settle: Settle,
}

/// How many instances of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    /// The service, as it was typed.
    pub service: String,
    /// Instances.
    pub instances: u32,
}

impl FromStr for Scale {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (service, number) = text.rsplit_once('=').ok_or("expected NAME=N, such as web=3")?;
        if service.is_empty() {
            return Err("expected NAME=N, such as web=3".to_owned());
        }
        let instances = number.parse().map_err(|_| format!("{number:?} is not a number of instances"))?;
        Ok(Self { service: service.to_owned(), instances })
    }
}

/// Which services.
#[derive(Debug, Clone, Args)]
pub struct ServicesArgs {
    /// APP or APP/SERVICE
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    #[command(flatten)]
    pub settle: Settle,
}

/// What to end for good.
#[derive(Debug, Clone, Args)]
pub struct DestroyArgs {
    /// APP (with all its services) or APP/SERVICE
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Only tell what would be destroyed
    #[arg(long, conflicts_with = "yes")]
    pub plan: bool,
}
