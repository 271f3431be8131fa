//! Control's door: everything that can be asked of it, by the API, the builder, anybody.
//!
//! Each method is one visit to the reactor (or to a port, for logs, exec and images). Methods that change
//! something answer after the change is durable, and take who asks. The methods stand beside their subject: in
//! `look` what only reads, in `change` what writes, in `reach` what goes past the cores.

use std::sync::Arc;
use std::time::Duration;

use kogge_link::identity::Authority;
use kogge_model::id::ClusterId;
use kogge_model::reason::Reason;
use kogge_model::time::Timestamp;
use kogge_model::view::{DoorsView, EventView};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::access::{Members, Operators};
use crate::cloud::Cloud;
use crate::copy::Copy;
use crate::job::Job;
use crate::ports::{Images, TaskAccess};
use crate::refusal::Refusal;
use crate::round::Round;
use crate::seekers::Seekers;
use crate::standing::{ServerRecord, Standing};

/// How long a request waits for room in the queue, and then for its answer. A request that was taken but not
/// answered in time may still have had its effect, and says so.
const DEADLINE: Duration = Duration::from_secs(30);

/// A way to the one reactor. Clones lead to the same.
#[derive(Clone)]
pub struct Handle {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) jobs: mpsc::Sender<Job>,
    pub(crate) events: broadcast::Sender<EventView>,
    pub(crate) changed: watch::Receiver<u64>,
    pub(crate) ended: watch::Receiver<Option<Reason>>,
    pub(crate) tasks: Arc<dyn TaskAccess>,
    pub(crate) images: Arc<dyn Images>,
    pub(crate) facts: Facts,
    pub(crate) cluster: ClusterId,
    pub(crate) authority: Arc<Authority>,
    pub(crate) members: watch::Receiver<Members>,
    pub(crate) standing: watch::Receiver<Standing>,
    pub(crate) servers: watch::Receiver<Vec<ServerRecord>>,
    pub(crate) copy: Option<Copy>,
    pub(crate) operators: watch::Receiver<Arc<Operators>>,
    pub(crate) seekers: Arc<Seekers>,
    pub(crate) down: watch::Sender<Option<Down>>,
}

/// What control is told about the process it lives in, for `kogge status` and `kogge doors`.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Door → URL.
    pub doors: DoorsView,
    /// The data directory.
    pub data_dir: String,
    /// This server, as the others find it.
    pub server: ServerRecord,
    /// The cluster whose server this one was before; none if it is new.
    pub served: Option<ClusterId>,
    /// Whether the tasks end with this process, if that is asked for: an agent is part of it.
    pub ends_tasks: bool,
    /// When the process started.
    pub started_at: Timestamp,
    /// The program's version.
    pub version: String,
}

/// A wish that the whole process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Down {
    /// Whether the tasks run on.
    pub keep_tasks: bool,
}

impl Handle {
    /// One look at the cloud; goes on while nothing can be saved.
    pub(crate) async fn look<T, W>(&self, work: W) -> Result<T, Refusal>
    where
        T: Send + 'static,
        W: FnOnce(&Cloud, Timestamp) -> Result<T, Refusal> + Send + 'static,
    {
        let (job, answered) = Job::look(work);
        self.send(job, answered).await
    }

    /// One visit to the reactor that may change something: whatever `work` stages is durable before this answers. Work
    /// that refuses must not have staged anything.
    pub(crate) async fn alter<T, W>(&self, work: W) -> Result<T, Refusal>
    where
        T: Send + 'static,
        W: FnOnce(&mut Cloud, &mut Round) -> Result<T, Refusal> + Send + 'static,
    {
        let (job, answered) = Job::change(work);
        self.send(job, answered).await
    }

    async fn send<T>(&self, job: Job, answered: oneshot::Receiver<Result<T, Refusal>>) -> Result<T, Refusal> {
        match tokio::time::timeout(DEADLINE, self.inner.jobs.send(job)).await {
            Err(_) => {
                return Err(Refusal::Unavailable(Reason::new(
                    "too many requests are waiting: nothing was changed",
                )));
            }
            Ok(Err(_)) => return Err(Refusal::ending()),
            Ok(Ok(())) => {}
        }
        match tokio::time::timeout(DEADLINE, answered).await {
            Err(_) => Err(Refusal::Unavailable(Reason::new("no answer in time: the outcome is not known"))),
            Ok(Err(_)) => Err(Refusal::ending()),
            Ok(Ok(result)) => result,
        }
    }

    /// The cluster this server leads.
    #[must_use]
    pub fn cluster(&self) -> &ClusterId {
        &self.inner.cluster
    }

    /// Whoever has a certificate of it is of this cluster.
    #[must_use]
    pub fn authority(&self) -> &Arc<Authority> {
        &self.inner.authority
    }

    /// The machines that were let in, now and from now on.
    #[must_use]
    pub fn members(&self) -> watch::Receiver<Members> {
        self.inner.members.clone()
    }

    /// Resolves, with the reason, when control has ended by itself.
    pub async fn ended(&self) -> Reason {
        let mut ended = self.inner.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => Reason::new("control has ended"),
        }
    }

    /// Asks the whole process to end; [`Handle::asked_down`] hears it.
    ///
    /// # Errors
    /// When tasks are to end with a process that has none.
    pub fn ask_down(&self, down: Down) -> Result<(), Refusal> {
        if !down.keep_tasks && !self.inner.facts.ends_tasks {
            let reason =
                Reason::new("this server has no tasks to end: those of the agents run on without it");
            return Err(Refusal::Conflict(
                reason.with_hint("kogge down --keep-tasks ends the server, kogge destroy ends services"),
            ));
        }
        self.inner.down.send_replace(Some(down));
        Ok(())
    }

    /// Resolves when somebody wants the process to end.
    pub async fn asked_down(&self) -> Down {
        let mut asked = self.inner.down.subscribe();
        match asked.wait_for(Option::is_some).await {
            Ok(down) => down.unwrap_or(Down { keep_tasks: true }),
            Err(_) => std::future::pending().await,
        }
    }
}
