//! `kogge server step-down`

use std::io;
use std::time::Duration;

use kogge_client::Client;
use kogge_model::view::NodeView;
use serde::Serialize;

use crate::args::ServerCommand;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Page, Show};

/// How long another server may take to lead.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) async fn run(context: &mut Context, command: ServerCommand) -> Result<(), Failure> {
    match command {
        ServerCommand::StepDown => step_down(context).await,
    }
}

async fn step_down(context: &mut Context) -> Result<(), Failure> {
    let client = context.client()?;
    let before = leader(&client).await?;
    client.step_down().await?;
    let mut progress = Context::progress();
    progress.tell("waiting for another server to lead".to_owned());
    let looking = async {
        loop {
            // While nobody leads, there may be no answer.
            if let Ok(Some(now)) = leader(&client).await
                && Some(&now) != before.as_ref()
            {
                return now;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let now = tokio::time::timeout(PATIENCE, looking).await.map_err(|_| {
        Failure::new(format!("no other server leads after {} s", PATIENCE.as_secs()))
            .with_hint("kogge node list tells which servers there are")
    })?;
    drop(progress);
    context.print(&HandedOver { from: before, to: now })
}

async fn leader(client: &Client) -> Result<Option<String>, Failure> {
    let nodes: Vec<NodeView> = client.nodes().await?;
    Ok(nodes.into_iter().find(|node| node.leader).map(|node| node.name))
}

#[derive(Serialize)]
struct HandedOver {
    from: Option<String>,
    to: String,
}

impl Show for HandedOver {
    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        writeln!(page.out, "server {} leads", self.to)
    }
}
