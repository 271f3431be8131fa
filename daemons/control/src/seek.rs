//! Between losing the lead, or the engine, and leading again.
//!
//! Nothing can be decided meanwhile, and nothing needs to be: tasks and routers go on with what they have. What can be
//! looked at is shown, writes are turned away at once with the reason. Agents are not heard; they say everything again.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kogge_host::backoff::Backoff;
use kogge_host::clock;
use kogge_model::id::Term;
use kogge_model::reason::Reason;
use kogge_store::{Leadership, ReadError, Store};
use tokio_util::sync::CancellationToken;

use crate::cloud::{Cloud, Settings};
use crate::load::{self, LoadError};
use crate::reactor::{Reactor, Turn};
use crate::refusal::Refusal;
use crate::round::Round;

/// Why the reactor decides nothing.
#[derive(Debug)]
pub(crate) struct Seeking {
    /// For those whose writes are turned away.
    pub(crate) reason: Reason,
    /// Whether the cores know of things that were not saved, and must not be looked at.
    pub(crate) is_dirty: bool,
    /// Whether this server must be elected again.
    pub(crate) is_deposed: bool,
}

/// Leading again, with the cores as the engine has them.
struct Regained {
    leadership: Option<Leadership>,
    cloud: Cloud,
}

impl Reactor {
    /// Waits until this server leads again.
    pub(crate) async fn seek(&mut self, token: &CancellationToken, seeking: &Seeking) -> Turn {
        tracing::warn!(reason = %seeking.reason, "nothing can be saved: writes are refused, everything else goes on");
        let (store, settings) = (Arc::clone(&self.store), self.cloud.settings.clone());
        let mut regained = pin!(regain(store, settings, self.version.clone(), seeking.is_deposed));
        let regained = loop {
            let ended = self.store.ended();
            tokio::select! {
                biased;
                () = token.cancelled() => return Turn::End(None),
                gone = ended => return Turn::End(Some(Reason::new(gone.to_string()))),
                result = &mut regained => break result,
                Some(job) = self.wires.jobs.recv() => {
                    if job.is_change() || seeking.is_dirty {
                        job.refuse(Refusal::Unavailable(seeking.reason.clone()));
                    } else {
                        job.run(&mut self.cloud, &mut Round::begin(clock::now()))(Ok(()));
                    }
                }
                Some(_) = self.wires.agents.incoming.recv() => {}
                Some(_) = self.wires.drained.recv() => {}
            }
        };
        match regained {
            Err(reason) => Turn::End(Some(reason)),
            Ok(Regained { leadership, cloud }) => {
                if let Some(leadership) = leadership {
                    self.leadership = leadership;
                }
                self.cloud = cloud;
                tracing::info!(term = %self.cloud.settings.term, "this server leads again");
                Turn::Begin
            }
        }
    }
}

/// Tries until it succeeds, or until what stands in the engine is not ours to lead with.
async fn regain(
    store: Arc<dyn Store>,
    mut settings: Settings,
    version: String,
    is_deposed: bool,
) -> Result<Regained, Reason> {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
    let mut leadership = None;
    loop {
        if is_deposed && leadership.is_none() {
            match store.campaign(load::ELECTION, Bytes::from(version.clone())).await {
                Ok(won) => leadership = Some(won),
                Err(error) => tracing::debug!(%error, "not elected yet"),
            }
        }
        if leadership.is_some() || !is_deposed {
            match take_over(store.as_ref(), &mut settings, leadership.as_ref()).await {
                Ok(cloud) => return Ok(Regained { leadership, cloud }),
                Err(LoadError::Read(ReadError::Unavailable(gone))) => {
                    tracing::debug!(%gone, "the state cannot be read yet");
                }
                Err(LoadError::Read(ReadError::Compacted { .. })) => {}
                Err(error) => return Err(Reason::new(error.to_string())),
            }
        }
        tokio::time::sleep(backoff.wait()).await;
    }
}

/// The cores as they stand in the engine, for the term of `leadership` if that is a new one.
async fn take_over(
    store: &dyn Store,
    settings: &mut Settings,
    leadership: Option<&Leadership>,
) -> Result<Cloud, LoadError> {
    let record = load::known_cluster(store).await?;
    let record = record.filter(|record| record.cluster == settings.cluster).ok_or(LoadError::Foreign)?;
    if let Some(leadership) = leadership {
        settings.term = Term(record.term_base.saturating_add(leadership.fence()));
    }
    load::cloud(store, settings.clone(), clock::now()).await
}
