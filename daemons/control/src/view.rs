//! What a server shows that does not lead: the cores as its copy of the state tells.
//!
//! They are made of the whole copy once, when somebody looks or little happens, and then go on by what changed. Nobody
//! decides with them; but who is elected makes his own of them, which takes a part of the time.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use kogge_host::clock;
use kogge_model::digest::Digest;
use kogge_model::id::{AgentId, FrameworkId, RevisionId, TaskId};
use kogge_model::name::InstanceId;
use kogge_store::{Entry, Key, Revision};
use serde::de::DeserializeOwned;

use crate::cloud::Cloud;
use crate::copy::Copy;
use crate::image::{Image, News};
use crate::keys;
use crate::load::{self, LoadError, parse};
use crate::settings::Settings;
use crate::sharing::Sharing;
use crate::state_digest::StateDigest;

/// After so many changes it is forgotten what their records have in common: it also knows services that are long gone.
const SHARED_AT_MOST: usize = 200_000;

/// Cores under way, on a thread of their own.
type Making = BoxFuture<'static, Result<Cloud, LoadError>>;

/// How far the cores of a server have come that does not lead.
#[derive(Default)]
pub(crate) struct View {
    /// Whether the cores were made of the copy, and have gone on with it since.
    is_made: bool,
    making: Option<Making>,
    /// What the copy contained that they were made of; none yet. Two revisions may contain the same, and a copy that
    /// was read anew may contain something else at the same revision.
    shown: Option<StateDigest>,
    sharing: Arc<Sharing>,
    /// Changes that were followed with it.
    shared: usize,
}

/// What has to be done to show what the copy has.
enum Step {
    /// Go on with what changed; with the whole copy, if that says anew who may come in.
    Follow(News, Option<Arc<Image>>),
    Make(Arc<Image>),
}

impl View {
    /// That of cores which were just made of `image`; `sharing` knows what its records have in common.
    pub(crate) fn of(image: &mut Image, sharing: Arc<Sharing>) -> Self {
        // From now on it remembers what changes.
        drop(image.take_news());
        Self { is_made: true, shown: Some(image.digest()), sharing, ..Self::default() }
    }

    /// Makes `cloud` that of `copy`; tells whether it was another one.
    ///
    /// # Errors
    /// When the copy cannot be shown. It is tried again when it has changed.
    pub(crate) async fn refresh(&mut self, copy: &Copy, cloud: &mut Cloud) -> Result<bool, LoadError> {
        let is_making = self.making.is_some();
        if is_making {
            self.made(cloud).await?;
        }
        match self.step(copy) {
            None => return Ok(is_making),
            Some(Step::Follow(news, access)) => self.follow(cloud, &news, access.as_deref())?,
            Some(Step::Make(image)) => {
                self.make(image, cloud);
                self.made(cloud).await?;
            }
        }
        Ok(true)
    }

    /// Goes on by what changed, if that is little; what was never made is not made for that.
    ///
    /// # Errors
    /// As [`View::refresh`].
    pub(crate) fn go_on(&mut self, copy: &Copy, cloud: &mut Cloud) -> Result<(), LoadError> {
        match if self.is_made { self.step(copy) } else { None } {
            None => Ok(()),
            Some(Step::Follow(news, access)) => self.follow(cloud, &news, access.as_deref()),
            Some(Step::Make(_)) => {
                (self.is_made, self.shown) = (false, None);
                Ok(())
            }
        }
    }

    /// Whether the cores are there, and only have to go on.
    pub(crate) const fn is_ready(&self) -> bool {
        self.is_made
    }

    /// Begins to make the cores before anybody asks for them, if they are not there.
    pub(crate) fn prepare(&mut self, copy: &Copy, cloud: &Cloud) {
        if !self.is_made
            && self.making.is_none()
            && let Some(Step::Make(image)) = self.step(copy)
        {
            self.make(image, cloud);
        }
    }

    fn make(&mut self, image: Arc<Image>, cloud: &Cloud) {
        self.is_made = false;
        (self.sharing, self.shared) = (Arc::default(), 0);
        let (settings, sharing) = (cloud.settings.clone(), Arc::clone(&self.sharing));
        self.making = Some(Box::pin(load::cloud_aside(image, settings, sharing)));
    }

    /// Waits for cores that are under way, if there are any: else for ever.
    ///
    /// # Errors
    /// When they cannot be made.
    pub(crate) async fn made(&mut self, cloud: &mut Cloud) -> Result<(), LoadError> {
        let Some(making) = &mut self.making else { return std::future::pending().await };
        let result = making.await;
        self.making = None;
        *cloud = result?;
        self.is_made = true;
        Ok(())
    }

    /// The cores for a leader of `settings`: those that are shown, if they have gone on to all that `copy` has, which must
    /// have caught up.
    ///
    /// # Errors
    /// When the copy is no state to lead with.
    pub(crate) async fn lead(
        mut self,
        copy: &Copy,
        cloud: &mut Cloud,
        settings: Settings,
    ) -> Result<(), LoadError> {
        if self.making.is_some()
            && let Err(error) = self.made(cloud).await
        {
            tracing::debug!(%error, "what was under way is made anew");
        }
        let gone_on = self.go_on(copy, cloud);
        if gone_on.is_ok() && self.is_made && is_whole(&copy.snapshot(), cloud) {
            return load::renew(cloud, settings).await;
        }
        *cloud = load::cloud_aside(copy.snapshot(), settings, Arc::default()).await?;
        Ok(())
    }

    fn follow(&mut self, cloud: &mut Cloud, news: &News, access: Option<&Image>) -> Result<(), LoadError> {
        // Until it is done: what was followed in part is made anew.
        self.is_made = false;
        self.shared += news.len();
        if self.shared > SHARED_AT_MOST {
            (self.sharing, self.shared) = (Arc::default(), news.len());
        }
        follow(cloud, news, &self.sharing)?;
        if let Some(image) = access {
            (cloud.access, cloud.operators) = (load::access(image)?, load::operators(image)?);
        }
        self.is_made = true;
        Ok(())
    }

    fn step(&mut self, copy: &Copy) -> Option<Step> {
        let mut image = copy.image();
        if image.revision() == Revision::ZERO || self.shown.replace(image.digest()) == Some(image.digest()) {
            return None;
        }
        let news = Arc::make_mut(&mut image).take_news().filter(|_| self.is_made);
        let Some(news) = news else { return Some(Step::Make(Arc::clone(&image))) };
        let is_access = split(&news, keys::ACCESS).next().is_some();
        Some(Step::Follow(news, is_access.then(|| Arc::clone(&image))))
    }
}

/// Whether as much is shown as there is. It is, unless something of ours is wrong; but nobody ends a task for that (G4).
fn is_whole(image: &Image, cloud: &Cloud) -> bool {
    let view = cloud.kernel.view();
    let instances = cloud.services.iter().map(|service| service.instances.len()).sum();
    let shown = [
        (keys::AGENTS, view.agents().count()),
        (keys::TASKS, view.tasks().count()),
        (keys::SERVICES, cloud.services.iter().count()),
        (keys::INSTANCES, instances),
        (keys::REVISIONS, cloud.tree.revisions().count()),
        (keys::NODES, cloud.tree.node_count()),
    ];
    let wrong = shown.iter().find(|(prefix, count)| image.count(prefix) != *count);
    if let Some((prefix, count)) = wrong {
        tracing::error!(
            prefix,
            count,
            "the cores of this server are not what its copy holds: they are made anew"
        );
    }
    wrong.is_none()
}

/// Goes on by `news`. Each core hears at once what concerns it: a commit is whole, and so is what came of several.
fn follow(cloud: &mut Cloud, news: &News, sharing: &Sharing) -> Result<(), LoadError> {
    cloud.tree.follow(of_tree(news)?)?;
    cloud.services.follow(of_services(news, sharing)?)?;
    cloud.kernel.follow(clock::now(), of_kernel(news, sharing)?);
    for (slot, entry) in split(news, keys::DECISIONS) {
        cloud.journal.follow(slot, entry.map(parse).transpose()?);
    }
    for (slot, entry) in split(news, keys::ENDED) {
        cloud.ended.follow(slot, entry.map(parse).transpose()?);
    }
    Ok(())
}

fn of_tree(news: &News) -> Result<kogge_revisions::RecordChanges, LoadError> {
    let mut changes = kogge_revisions::RecordChanges::default();
    for (hex, entry) in split(news, keys::NODES) {
        let Ok(digest) = format!("sha256:{hex}").parse::<Digest>() else { continue };
        match entry {
            Some(entry) => changes.nodes.push((digest, entry.value.to_vec())),
            None => changes.forgotten_nodes.push(digest),
        }
    }
    changes.revisions = saved(news, keys::REVISIONS)?;
    let gone = forgotten(news, keys::REVISIONS).filter_map(|number| number.parse().ok());
    changes.forgotten_revisions = gone.map(RevisionId).collect();
    Ok(changes)
}

fn of_services(news: &News, sharing: &Sharing) -> Result<kogge_services::RecordChanges, LoadError> {
    let mut reader = sharing.reader();
    let mut instances: Vec<kogge_services::Instance> = saved(news, keys::INSTANCES)?;
    instances.iter_mut().for_each(|instance| reader.share_instance(instance));
    let instance = |id: &str| {
        let (service, number) = id.rsplit_once('/')?;
        Some(InstanceId { service: service.parse().ok()?, number: number.parse().ok()? })
    };
    Ok(kogge_services::RecordChanges {
        saved: kogge_services::Records { services: saved(news, keys::SERVICES)?, instances },
        forgotten_services: forgotten(news, keys::SERVICES).filter_map(|id| id.parse().ok()).collect(),
        forgotten_instances: forgotten(news, keys::INSTANCES).filter_map(instance).collect(),
    })
}

fn of_kernel(news: &News, sharing: &Sharing) -> Result<kogge_kernel::RecordChanges, LoadError> {
    let mut reader = sharing.reader();
    let mut tasks: Vec<kogge_kernel::TaskRecord> = saved(news, keys::TASKS)?;
    tasks.iter_mut().for_each(|task| reader.share_task(task));
    let highest_run =
        news.get(&Key::from(keys::RUN_COUNTER)).and_then(Option::as_ref).map(parse).transpose()?;
    Ok(kogge_kernel::RecordChanges {
        saved: kogge_kernel::Records {
            agents: saved(news, keys::AGENTS)?,
            frameworks: saved(news, keys::FRAMEWORKS)?,
            tasks,
            highest_run: highest_run.unwrap_or_default(),
        },
        forgotten_agents: forgotten(news, keys::AGENTS).map(AgentId::new).collect(),
        forgotten_frameworks: forgotten(news, keys::FRAMEWORKS).map(FrameworkId::new).collect(),
        forgotten_tasks: forgotten(news, keys::TASKS).map(TaskId::new).collect(),
    })
}

/// What became of those under `prefix`: what follows it in each key, and the record, if it is there.
fn split<'a>(
    news: &'a News,
    prefix: &'static str,
) -> impl Iterator<Item = (&'a str, Option<&'a Entry>)> + use<'a> {
    let under = news.range(Key::from(prefix)..).map_while(move |(key, entry)| {
        let is_under = <[u8]>::starts_with(key, prefix.as_bytes());
        is_under.then(|| Some((key.as_str()?.strip_prefix(prefix)?, entry.as_ref())))
    });
    under.flatten()
}

fn saved<T: DeserializeOwned>(news: &News, prefix: &'static str) -> Result<Vec<T>, LoadError> {
    split(news, prefix).filter_map(|(_, entry)| entry).map(parse).collect()
}

fn forgotten<'a>(news: &'a News, prefix: &'static str) -> impl Iterator<Item = &'a str> + use<'a> {
    split(news, prefix).filter(|(_, entry)| entry.is_none()).map(|(id, _)| id)
}

#[cfg(test)]
mod tests;
