//! The cores as the store has them. Whatever cannot be read is told, never guessed (G4).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use kogge_discovery::Discovery;
use kogge_host::clock;
use kogge_kernel::Kernel;
use kogge_link::identity::{Authority, AuthorityError};
use kogge_model::digest::Digest;
use kogge_model::id::{ClusterId, Generation};
use kogge_model::time::Timestamp;
use kogge_revisions::{RestoreError, Tree};
use kogge_services::Services;
use kogge_store::import::UNFINISHED;
use kogge_store::{Commit, CommitError, Consistency, Entry, Guard, Key, ReadError, Store};
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::access::{Access, Operators};
use crate::cloud::Cloud;
use crate::ended::EndedTasks;
use crate::image::Image;
use crate::journal::Journal;
use crate::keys::{self, ClusterRecord, FORMAT};
use crate::settings::Settings;
use crate::sharing::Sharing;

/// The election that servers win to lead.
pub(crate) const ELECTION: &str = "leader";

/// Between two terms there is room for so many bits of tables, and one more for each commit of the earlier leader.
const GENERATIONS_BITS: u32 = 8;

/// Why the state cannot be taken over.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The engine does not answer.
    #[error("cannot read the state")]
    Read(#[from] ReadError),
    /// The engine does not take the first record.
    #[error("cannot found the cluster")]
    Found(#[source] CommitError),
    /// A record is no record of ours.
    #[error("the record {key} is damaged")]
    Damaged {
        /// Where it stands.
        key: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A copy or a restore into this state did not come to its end.
    #[error("the state is incomplete: a copy or a restore into it has not been finished")]
    Unfinished,
    /// It was another one when this server led last.
    #[error("the state is not that of the cluster this server led")]
    Foreign,
    /// Written by a newer program.
    #[error("the state has format {found}, this program knows {FORMAT}: use the newer program")]
    Newer {
        /// The format in the store.
        found: u32,
    },
    /// The authority is damaged, or none can be made.
    #[error("the cluster has no authority")]
    Authority(#[from] AuthorityError),
    /// The kernel gives no random numbers.
    #[error("cannot draw a seed")]
    Seed(#[source] std::io::Error),
    /// The records of the services do not fit together.
    #[error(transparent)]
    Services(#[from] kogge_services::RestoreError),
    /// The tree does not fit together.
    #[error(transparent)]
    Tree(#[from] RestoreError),
}

/// The cluster's record, if there is one. A state that is being filled is none (G4).
pub(crate) async fn known_cluster(store: &dyn Store) -> Result<Option<ClusterRecord>, LoadError> {
    if store.get(&Key::from(UNFINISHED), Consistency::Linearizable).await?.entry.is_some() {
        return Err(LoadError::Unfinished);
    }
    let found = store.get(&Key::from(keys::CLUSTER), Consistency::Linearizable).await?.entry;
    let record: Option<ClusterRecord> = found.as_ref().map(parse).transpose()?;
    match record {
        Some(record) if record.format > FORMAT => Err(LoadError::Newer { found: record.format }),
        record => Ok(record),
    }
}

/// Founds a cluster with identity `fresh` in an empty store.
pub(crate) async fn found(store: &dyn Store, fresh: ClusterId) -> Result<ClusterRecord, LoadError> {
    let key = Key::from(keys::CLUSTER);
    let record = ClusterRecord { cluster: fresh, format: FORMAT, term_base: 0 };
    let value = serde_json::to_vec(&record).expect("a record is plain data");
    let commit = Commit::new().when(Guard::Absent(key.clone())).put(key, value);
    store.commit(commit).await.map_err(LoadError::Found)?;
    Ok(record)
}

/// The cluster's authority, if it has one.
pub(crate) async fn known_authority(store: &dyn Store) -> Result<Option<Authority>, LoadError> {
    let found = store.get(&Key::from(keys::AUTHORITY), Consistency::Linearizable).await?.entry;
    found.map(|entry| Ok(Authority::from_pem(&parse(&entry)?)?)).transpose()
}

/// The cluster's authority, made now if there is none yet.
pub(crate) async fn authority(
    store: &dyn Store,
    cluster: &ClusterId,
    leads: Guard,
) -> Result<Authority, LoadError> {
    if let Some(authority) = known_authority(store).await? {
        return Ok(authority);
    }
    let key = Key::from(keys::AUTHORITY);
    let authority = Authority::create(cluster, clock::now())?;
    let value = serde_json::to_vec(&authority.to_pem()).expect("a record is plain data");
    let commit = Commit::new().when(leads).when(Guard::Absent(key.clone())).put(key, value);
    store.commit(commit).await.map_err(LoadError::Found)?;
    Ok(authority)
}

pub(crate) fn parse<T: DeserializeOwned>(entry: &Entry) -> Result<T, LoadError> {
    serde_json::from_slice(&entry.value)
        .map_err(|source| LoadError::Damaged { key: entry.key.to_string(), source })
}

fn tree(image: &Image, config: kogge_revisions::Config) -> Result<Tree, LoadError> {
    let named = image.under(keys::NODES).filter_map(|entry| {
        let hex = entry.key.as_str()?.strip_prefix(keys::NODES)?.to_owned();
        let digest: Digest = format!("sha256:{hex}").parse().ok()?;
        Some((digest, entry.value.to_vec()))
    });
    Ok(Tree::restore(config, named, image.records(keys::REVISIONS)?)?)
}

/// Who belongs to the cluster.
pub(crate) fn access(image: &Image) -> Result<Access, LoadError> {
    Ok(Access::restore(image.records(keys::TOKENS)?, image.records(keys::MEMBERS)?))
}

/// Who may ask for something from elsewhere.
pub(crate) fn operators(image: &Image) -> Result<Arc<Operators>, LoadError> {
    Ok(Arc::new(Operators::restore(image.records(keys::OPERATORS)?)))
}

fn kernel(
    image: &Image,
    settings: &Settings,
    now: Timestamp,
    sharing: &Sharing,
) -> Result<Kernel, LoadError> {
    let mut reader = sharing.reader();
    let records = kogge_kernel::Records {
        agents: image.records(keys::AGENTS)?,
        frameworks: image.records(keys::FRAMEWORKS)?,
        tasks: image.records_with(keys::TASKS, |task| reader.share_task(task))?,
        highest_run: image.record(keys::RUN_COUNTER)?.unwrap_or_default(),
    };
    Ok(kernel_of(records, settings, now))
}

fn kernel_of(records: kogge_kernel::Records, settings: &Settings, now: Timestamp) -> Kernel {
    let config = kogge_kernel::Config {
        is_founder: settings.is_founder,
        ..kogge_kernel::Config::new(settings.cluster.clone(), settings.term)
    };
    Kernel::restore_at(now, Some(clock::since_boot()), config, records)
}

fn services(image: &Image, now: Timestamp, sharing: &Sharing) -> Result<Services, LoadError> {
    let mut reader = sharing.reader();
    let instances = image.records_with(keys::INSTANCES, |instance| reader.share_instance(instance))?;
    services_of(kogge_services::Records { services: image.records(keys::SERVICES)?, instances }, now)
}

fn services_of(records: kogge_services::Records, now: Timestamp) -> Result<Services, LoadError> {
    // Task ids are drawn from it and never come again: each load needs another one.
    let seed = kogge_host::seed::draw().map_err(LoadError::Seed)?;
    Ok(Services::restore(now, kogge_services::Config::default(), seed, records)?)
}

/// Nearly all there is, each core on a thread of its own: whoever takes over is waited for.
fn cores(
    image: &Image,
    settings: &Settings,
    now: Timestamp,
    sharing: &Sharing,
) -> Result<(Kernel, Services), LoadError> {
    std::thread::scope(|scope| {
        let kernel = scope.spawn(|| kernel(image, settings, now, sharing));
        let services = services(image, now, sharing);
        let kernel = kernel.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((kernel?, services?))
    })
}

/// All cores, as they were when the last round was saved.
pub(crate) fn cloud(image: &Image, settings: Settings, now: Timestamp) -> Result<Cloud, LoadError> {
    shared_cloud(image, settings, now, &Sharing::default())
}

/// The same on a thread where nobody waits, for it takes seconds with a hundred thousand instances. What records have in
/// common is known to `sharing` afterwards.
pub(crate) async fn cloud_aside(
    image: Arc<Image>,
    settings: Settings,
    sharing: Arc<Sharing>,
) -> Result<Cloud, LoadError> {
    aside(move || shared_cloud(&image, settings, clock::now(), &sharing)).await
}

/// Makes the cores of `cloud`, which only were looked at, those of a leader of `settings`, out of the records they hold.
pub(crate) async fn renew(cloud: &mut Cloud, settings: Settings) -> Result<(), LoadError> {
    let now = clock::now();
    let none = kernel_of(kogge_kernel::Records::default(), &settings, now);
    let kernel = std::mem::replace(&mut cloud.kernel, none);
    let none = services_of(kogge_services::Records::default(), now)?;
    let services = std::mem::replace(&mut cloud.services, none);
    let known = settings.clone();
    let renewing = move || {
        std::thread::scope(|scope| {
            let kernel = scope.spawn(|| kernel_of(kernel.into_records(), &known, now));
            let services = services_of(services.into_records(), now);
            let kernel = kernel.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok::<_, LoadError>((kernel, services?))
        })
    };
    (cloud.kernel, cloud.services) = aside(renewing).await?;
    cloud.discovery = discovery(&settings);
    cloud.settings = settings;
    (cloud.impostors, cloud.stale, cloud.draining) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
    cloud.words = VecDeque::new();
    Ok(())
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The process ends.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Terms grow by more than a leader makes tables, so whoever leads later goes on beyond them.
fn discovery(settings: &Settings) -> Discovery {
    Discovery::new(Generation(settings.term.0 << GENERATIONS_BITS))
}

/// The same; what records have in common is known to `sharing` afterwards.
pub(crate) fn shared_cloud(
    image: &Image,
    settings: Settings,
    now: Timestamp,
    sharing: &Sharing,
) -> Result<Cloud, LoadError> {
    let config =
        kogge_revisions::Config { keep_revisions: settings.config.keep_revisions, ..Default::default() };
    let tree = tree(image, config)?;
    let (kernel, services) = cores(image, &settings, now, sharing)?;
    Ok(Cloud {
        framework: kogge_services::Config::default().framework.framework,
        tree,
        services,
        kernel,
        discovery: discovery(&settings),
        journal: Journal::restore(image.records(keys::DECISIONS)?),
        ended: EndedTasks::restore(image.records(keys::ENDED)?),
        access: access(image)?,
        operators: operators(image)?,
        begun: now,
        impostors: BTreeMap::new(),
        stale: BTreeSet::new(),
        draining: BTreeMap::new(),
        words: VecDeque::new(),
        settings,
    })
}
