//! Deployments at a steady pace: the next one is due whether or not the last one was answered.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use kogge_client::Client;
use kogge_host::clock;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_model::time::Timestamp;
use kogge_model::view::DeployRequest;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The load.
#[derive(Debug, clap::Args)]
pub(crate) struct Load {
    /// The API's URLs, separated by commas
    #[arg(long)]
    api: String,
    /// Before the numbers in the services' names
    #[arg(long)]
    prefix: String,
    /// How many services
    #[arg(long)]
    services: usize,
    /// Instances of each
    #[arg(long)]
    instances: u32,
    /// Between two requests; 0 for all at once
    #[arg(long)]
    every_us: u64,
    /// A port that the router of every agent knows, or none
    #[arg(long)]
    port: Option<u16>,
    /// Where requests are written down: service, instances, when it was due and when answered in µs since 1970
    #[arg(long, value_name = "FILE")]
    log: PathBuf,
}

/// A request that was answered.
struct Asked {
    service: String,
    due: Timestamp,
    answered: Timestamp,
}

impl Load {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let client = Client::new(&self.api)?;
        let group = TaskGroup::new("load");
        let (sender, mut answers) = mpsc::channel::<anyhow::Result<Asked>>(self.services.max(1));
        let wish = Arc::new(self);
        let begun = (Instant::now(), clock::now());
        for number in 0..wish.services {
            let after = Duration::from_micros(wish.every_us).saturating_mul(u32::try_from(number)?);
            tokio::time::sleep_until(begun.0 + after).await;
            let (client, wish, sender) = (client.clone(), Arc::clone(&wish), sender.clone());
            let due = begun.1.plus(after);
            group.spawn("request", OnPanic::StopGroup, async move {
                // The receiver is there until all have answered.
                let _ = sender.send(ask(&client, &wish, number, due).await).await;
            });
        }
        drop(sender);
        let mut text = String::new();
        let mut failed = None;
        while let Some(answer) = answers.recv().await {
            match answer {
                Ok(Asked { service, due, answered }) => {
                    let (due, answered) = (due.as_micros(), answered.as_micros());
                    text.push_str(&format!("{service} {} {due} {answered}\n", wish.instances));
                }
                Err(error) => failed = Some(error),
            }
        }
        let mut file = std::fs::File::create(&wish.log)
            .with_context(|| format!("cannot write {}", wish.log.display()))?;
        file.write_all(text.as_bytes())?;
        if let Some(error) = failed {
            bail!("a request failed: {error:#}");
        }
        Ok(())
    }
}

async fn ask(client: &Client, wish: &Load, number: usize, due: Timestamp) -> anyhow::Result<Asked> {
    let service = format!("{}{number:04}", wish.prefix);
    let request = DeployRequest {
        name: Some(service.clone()),
        command: Some("exec sleep 1000000".to_owned()),
        cpu_millis: Some(10),
        mem_bytes: Some(4 << 20),
        instances: Some(wish.instances),
        ports: wish.port.map(|port| vec![port]),
        network: wish.port.is_none().then(|| "host".to_owned()),
        ..DeployRequest::default()
    };
    client.deploy(&request, false).await.with_context(|| format!("{service} was refused"))?;
    Ok(Asked { service, due, answered: clock::now() })
}
