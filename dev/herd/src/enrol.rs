//! Agents join as machines do: each with a key of its own, a token that lets in one, and the servers' word.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use kogge_client::Client;
use kogge_host::tasks::TaskGroup;
use kogge_link::identity::PrivateKey;
use kogge_link::{JoinWish, Joined, Timing};
use kogge_model::id::AgentId;
use kogge_model::token::OperatorToken;

use crate::Agents;
use crate::agent;
use crate::tally::Tally;

/// In the environment.
const TOKEN: &str = "KOGGE_TOKEN";
/// Agents that join at once.
const AT_ONCE: usize = 64;
/// What joining may take while the servers have much to do.
const PATIENCE: Duration = Duration::from_secs(60);
/// Tries of one agent, and the pause between two.
const TRIES: usize = 60;
const AGAIN: Duration = Duration::from_millis(500);

/// Joins and starts them all.
pub(crate) async fn all(wish: &Agents, tally: &Arc<Tally>, group: &TaskGroup) -> anyhow::Result<()> {
    let client = Client::with_token(&wish.api, token()?)?;
    let enrolling = iter(0..wish.count).map(|number| one(number, wish, &client, tally, group));
    enrolling.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    Ok(())
}

/// That of an operator, where the API asks for one.
fn token() -> anyhow::Result<Option<OperatorToken>> {
    let said = std::env::var(TOKEN).ok();
    let token = said.map(|token| token.parse::<OperatorToken>()).transpose();
    token.map_err(|error| anyhow!("{TOKEN} cannot be read: {error}"))
}

/// Comes again while no server leads, as a person would; a token lets the same key in again.
async fn one(
    number: usize,
    wish: &Agents,
    client: &Client,
    tally: &Arc<Tally>,
    group: &TaskGroup,
) -> anyhow::Result<()> {
    let (name, key) = (format!("{}{number:05}", wish.prefix), PrivateKey::generate()?);
    let mut tries = 0;
    let joined = loop {
        match join(&name, &key, client, group).await {
            Ok(joined) => break joined,
            Err(error) if tries == TRIES => return Err(error),
            Err(_) => tries += 1,
        }
        tokio::time::sleep(AGAIN).await;
    };
    agent::start(joined, (number, wish.closed), tally, group).with_context(|| format!("{name} cannot dial"))
}

async fn join(name: &str, key: &PrivateKey, client: &Client, group: &TaskGroup) -> anyhow::Result<Joined> {
    let invitation = client.invite(None).await.context("no token is to be had")?;
    let server = invitation.servers.first().context("no server lets agents in")?;
    let wish = JoinWish {
        server: server.parse()?,
        token: invitation.token.parse().map_err(|error| anyhow!("the token cannot be read: {error}"))?,
        agent: AgentId::new(name),
        key: key.clone(),
    };
    let joining = group.child("join");
    let timing = Timing { answer: PATIENCE, handshake: PATIENCE, ..Timing::default() };
    let joined = kogge_link::join(&wish, &timing, &joining).await;
    joining.shutdown(crate::PATIENCE).await;
    joined.map_err(|error| anyhow!("{name} cannot join: {}", error.reason()))
}
