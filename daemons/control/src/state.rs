//! The state as a whole: checked, saved, brought back, moved to another engine.
//!
//! All of it happens without a leader: whoever writes here has won the election first, and does not serve.

use std::io::{Read, Write};
use std::time::Duration;

use bytes::Bytes;
use kogge_host::clock;
use kogge_model::id::{ClusterId, Term};
use kogge_store::import::{Import, ImportError};
use kogge_store::snapshot::{self, ReadSnapshotError, Reader, WriteError};
use kogge_store::{CampaignError, Consistency, Key, Leadership, Op, ReadError, Revision, Status, Store};
use thiserror::Error;

use crate::config::Config;
use crate::image::Image;
use crate::keys::{self, ClusterRecord};
use crate::load::{self, LoadError};
use crate::settings::Settings;

pub use kogge_store::snapshot::Summary;

/// How long another server may take to give up the lead before we do not wait any more.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the clock is wrong, a restored cloud goes on beyond the terms that were led after the backup all the same:
/// more commits than this have not happened meanwhile.
const TERM_LEAP: u64 = 1 << 32;

/// Why the state was not checked, saved or moved.
#[derive(Debug, Error)]
pub enum StateError {
    /// A server leads with it.
    #[error("a server leads with this state: it must be stopped first")]
    Led,
    /// Nobody can be elected.
    #[error("cannot take the lead")]
    Campaign(#[from] CampaignError),
    /// It does not answer.
    #[error("cannot read the state")]
    Read(#[from] ReadError),
    /// It is damaged, foreign or newer.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// There is none.
    #[error("there is no state of a cloud in it")]
    Empty,
    /// It cannot be saved.
    #[error(transparent)]
    Save(#[from] WriteError),
    /// The backup cannot be used.
    #[error("cannot use the backup")]
    Backup(#[from] ReadSnapshotError),
    /// It cannot be brought back.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A file on the way.
    #[error("cannot keep the copy on its way")]
    Way(#[from] std::io::Error),
}

/// What a look at the whole state found. Nothing was wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Whose it is.
    pub cluster: ClusterId,
    /// The data format.
    pub format: u32,
    /// Services in the desired tree.
    pub services: usize,
    /// Revisions of the tree.
    pub revisions: usize,
    /// Agents that are known.
    pub agents: usize,
    /// Tasks that are known to the kernel.
    pub tasks: usize,
    /// The engine.
    pub engine: Status,
}

/// Reads everything as a server would that takes over, and changes nothing.
///
/// # Errors
/// With the first thing that is wrong.
pub async fn check(store: &dyn Store) -> Result<Checked, StateError> {
    let record = load::known_cluster(store).await?.ok_or(StateError::Empty)?;
    let settings = Settings {
        cluster: record.cluster.clone(),
        term: Term(record.term_base),
        is_founder: false,
        config: Config {
            domain: String::new(),
            router_port: 80,
            api_url: String::new(),
            is_alone: true,
            api_tls_url: None,
            keep_revisions: usize::MAX,
        },
    };
    let image = Image::read(store).await?;
    let cloud = load::cloud(&image, settings, clock::now())?;
    Ok(Checked {
        cluster: record.cluster,
        format: record.format,
        services: cloud.tree.services().len(),
        revisions: image.under(keys::REVISIONS).count(),
        agents: image.under(keys::AGENTS).count(),
        tasks: image.under(keys::TASKS).count(),
        engine: store.status().await?,
    })
}

/// Writes the state, as it is at one revision, to `sink`. A server may lead meanwhile.
///
/// # Errors
/// When there is none, or it cannot be read or written.
pub async fn back_up(
    store: &dyn Store,
    sink: &mut (impl tokio::io::AsyncWrite + Unpin),
) -> Result<Summary, StateError> {
    load::known_cluster(store).await?.ok_or(StateError::Empty)?;
    Ok(snapshot::write(store, sink).await?)
}

/// Makes a backup the state of an empty store. `told` hears how many records there are so far.
///
/// # Errors
/// When the store is not empty or led, or the backup not whole. What was written halfway is not taken over by any
/// server, and cleared by the next attempt.
pub async fn restore(
    backup: impl Read,
    store: &dyn Store,
    told: impl FnMut(u64),
) -> Result<Summary, StateError> {
    let reader = Reader::new(backup)?;
    let leadership = lead(store).await?;
    let mut import = Import::begin(store, leadership.guard()).await?;
    let summary = import.fill(reader, told).await?;
    let last = beyond(store, summary.revision).await?;
    import.finish(vec![last]).await?;
    Ok(summary)
}

/// Moves the state between engines: the old one stays as it is, and no server may lead with either of them.
///
/// # Errors
/// As [`restore`].
pub async fn copy(from: &dyn Store, to: &dyn Store, told: impl FnMut(u64)) -> Result<Summary, StateError> {
    let _nobody_else = lead(from).await?;
    let file = tempfile::tempfile()?;
    let mut sink = tokio::fs::File::from_std(file.try_clone()?);
    back_up(from, &mut sink).await?;
    let mut file = file;
    file.flush()?;
    std::io::Seek::rewind(&mut file)?;
    restore(std::io::BufReader::new(file), to, told).await
}

async fn lead(store: &dyn Store) -> Result<Leadership, StateError> {
    let campaign = store.campaign(load::ELECTION, Bytes::from_static(b"kogge state"));
    tokio::time::timeout(PATIENCE, campaign).await.map_err(|_| StateError::Led)?.map_err(StateError::Campaign)
}

/// The cluster's record with terms beyond every one that was led until now: agents obey no lower ones (G4). Of leaders
/// after the backup only the time is known, and that no engine makes a million commits a second.
async fn beyond(store: &dyn Store, revision: Revision) -> Result<Op, StateError> {
    let key = Key::from(keys::CLUSTER);
    let entry = store.get(&key, Consistency::Linearizable).await?.entry.ok_or(StateError::Empty)?;
    let mut record: ClusterRecord = load::parse(&entry)?;
    let led = record.term_base.saturating_add(revision.get()).saturating_add(TERM_LEAP);
    record.term_base = led.max(clock::now().as_micros());
    let value = serde_json::to_vec(&record).expect("a record is plain data");
    Ok(Op::Put { key, value: value.into(), lease: None })
}
