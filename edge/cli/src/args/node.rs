//! Arguments about servers and agents.

use std::str::FromStr;

use clap::{Args, Subcommand};

use crate::quantity::{Cpus, Size};
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
    /// Give an agent nothing new, and move what runs there elsewhere
    Drain(DrainArgs),
    /// Use a drained agent again; work comes back to it little by little
    Undrain(NodeArgs),
    /// Set attributes of an agent on top of its own, or take such away
    Label(LabelArgs),
    /// Withhold part of an agent from new tasks; what is left out is not withheld
    Reserve(ReserveArgs),
    /// Forget an agent that is lost and will not come back; make sure first that its machine is off
    Forget(ForgetArgs),
    /// Make a token that lets one machine join, once
    Token {
        /// How long it is good for, such as 30m or 2h; 30d at most
        #[arg(long, value_name = "TIME", default_value = "1h")]
        ttl: Span,
    },
}

/// Which agent.
#[derive(Debug, Clone, Args)]
pub struct NodeArgs {
    /// Its name, as `kogge node list` tells it, or its id
    pub name: String,
    /// Only tell what would change
    #[arg(long)]
    pub plan: bool,
}

/// Which agent is to be emptied.
#[derive(Debug, Clone, Args)]
pub struct DrainArgs {
    #[command(flatten)]
    pub node: NodeArgs,
    /// What for; stands in `kogge node list` and in each reason for a move
    #[arg(long, short, value_name = "TEXT")]
    pub message: Option<String>,
    /// Wait until nothing runs there any more
    #[arg(long, short, conflicts_with = "plan")]
    pub wait: bool,
    /// Wait no longer than this; the drain goes on
    #[arg(long, value_name = "TIME", requires = "wait")]
    pub timeout: Option<Span>,
}

/// What to say of which agent.
#[derive(Debug, Clone, Args)]
pub struct LabelArgs {
    #[command(flatten)]
    pub node: NodeArgs,
    /// KEY=VALUE sets a label, KEY- takes it away
    #[arg(value_name = "LABEL", required = true)]
    pub labels: Vec<Label>,
}

/// A label to set or to take away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Attribute key.
    pub key: String,
    /// None takes it away.
    pub value: Option<String>,
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = match (text.split_once('='), text.strip_suffix('-')) {
            (Some((key, value)), _) => (key, Some(value.to_owned())),
            (None, Some(key)) => (key, None),
            (None, None) => ("", None),
        };
        match parsed {
            ("", _) => Err("expected KEY=VALUE, or KEY- to take it away".to_owned()),
            (key, value) => Ok(Self { key: key.to_owned(), value }),
        }
    }
}

/// What to withhold of which agent.
#[derive(Debug, Clone, Args)]
pub struct ReserveArgs {
    #[command(flatten)]
    pub node: NodeArgs,
    /// Cores, such as 0.5
    #[arg(long, value_name = "N")]
    pub cpus: Option<Cpus>,
    /// Memory, such as 2G
    #[arg(long, value_name = "SIZE")]
    pub mem: Option<Size>,
    /// Disk
    #[arg(long, value_name = "SIZE")]
    pub disk: Option<Size>,
}

/// Which agent to forget.
#[derive(Debug, Clone, Args)]
pub struct ForgetArgs {
    #[command(flatten)]
    pub node: NodeArgs,
    /// Do not ask
    #[arg(long, short, conflicts_with = "plan")]
    pub yes: bool,
}
