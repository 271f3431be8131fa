//! The other end of the link: repeats what it wants until it is answered, acknowledges what it is told, and keeps the
//! newest update of each task.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kogge_agent::{LINK_CAPACITY, Link};
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_model::id::{ClusterId, RunId, TaskId, Term};
use kogge_model::link::{FromAgent, FromControl, ToAgent, ToControl};
use kogge_model::reason::Reason;
use kogge_model::task::{TaskSpec, TaskState, TaskStatus};
use tokio::sync::{mpsc, watch};

/// Longer than anything here should take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two repetitions of what is not answered.
const REPEAT: Duration = Duration::from_millis(300);

/// Control as a test needs it. Clones share it.
#[derive(Clone)]
pub(crate) struct Control {
    inner: Arc<Inner>,
}

struct Inner {
    book: Mutex<Book>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Book {
    next_run: u64,
    launches: BTreeMap<TaskId, (RunId, Arc<TaskSpec>)>,
    kills: BTreeMap<TaskId, u64>,
    heard: BTreeMap<TaskId, TaskStatus>,
    /// Every state each task was in, in order, as words.
    history: BTreeMap<TaskId, Vec<String>>,
    to_agent: Option<mpsc::Sender<FromControl>>,
}

impl Control {
    pub(crate) fn new() -> Self {
        Self { inner: Arc::new(Inner { book: Mutex::default(), changed: watch::channel(0).0 }) }
    }

    /// A link straight to this control.
    pub(crate) fn link(&self, group: &TaskGroup) -> Link {
        let (to_control, incoming) = mpsc::channel(LINK_CAPACITY);
        let (outgoing, from_control) = mpsc::channel(LINK_CAPACITY);
        self.attach(group, incoming, outgoing);
        Link { to_control, from_control }
    }

    /// Listens and speaks on these channels from now on.
    pub(crate) fn attach(
        &self,
        group: &TaskGroup,
        mut incoming: mpsc::Receiver<FromAgent>,
        outgoing: mpsc::Sender<FromControl>,
    ) {
        self.book().to_agent = Some(outgoing);
        let (control, token) = (self.clone(), group.token());
        group.spawn("control", OnPanic::Log, async move {
            let mut repeat = tokio::time::interval(REPEAT);
            loop {
                tokio::select! {
                    message = incoming.recv() => match message {
                        Some(message) => control.hear(message),
                        None => return,
                    },
                    _ = repeat.tick() => control.repeat(),
                    () = token.cancelled() => return,
                }
            }
        });
    }

    fn hear(&self, message: FromAgent) {
        match message.body {
            ToControl::Register { tasks, .. } => {
                self.say(ToAgent::Registered);
                tasks.into_iter().for_each(|status| self.take(status));
            }
            ToControl::Status(status) => self.take(status),
            ToControl::AskLease { task, run, ticket } => self.say(ToAgent::GrantLease { task, run, ticket }),
            ToControl::Heartbeat => {}
        }
    }

    fn take(&self, status: TaskStatus) {
        let (task, run, sequence) = (status.task.clone(), status.run, status.sequence);
        {
            let mut book = self.book();
            let before = book.heard.get(&task).map_or(0, |heard| heard.sequence);
            if sequence > before {
                book.history.entry(task.clone()).or_default().push(status.state.word().to_owned());
                book.heard.insert(task.clone(), status);
            }
        }
        self.inner.changed.send_modify(|count| *count += 1);
        self.say(ToAgent::Acknowledge { task, run, sequence });
    }

    /// Says again what has not been answered.
    fn repeat(&self) {
        let (mut orders, book) = (Vec::new(), self.book());
        for (task, (run, spec)) in &book.launches {
            let heard = book.heard.get(task);
            if heard.is_none() {
                orders.push(ToAgent::Launch { run: *run, spec: Arc::clone(spec) });
            }
            let is_over = heard.is_some_and(|heard| heard.state.is_terminal());
            if let Some(grace_ms) = book.kills.get(task).filter(|_| !is_over) {
                orders.push(kill(task, *run, *grace_ms));
            }
        }
        drop(book);
        orders.into_iter().for_each(|order| self.say(order));
    }

    fn say(&self, body: ToAgent) {
        let message = FromControl { cluster: ClusterId::new("north"), term: Term(1), body };
        if let Some(outgoing) = &self.book().to_agent {
            // A full link drops; what matters is said again.
            let _ = outgoing.try_send(message);
        }
    }

    pub(crate) fn launch(&self, spec: TaskSpec) -> TaskId {
        let (task, spec) = (spec.task.clone(), Arc::new(spec));
        let run = {
            let mut book = self.book();
            book.next_run += 1;
            let run = RunId(book.next_run);
            book.launches.insert(task.clone(), (run, Arc::clone(&spec)));
            run
        };
        self.say(ToAgent::Launch { run, spec });
        task
    }

    pub(crate) fn kill(&self, task: &TaskId, grace_ms: u64) {
        let run = {
            let mut book = self.book();
            book.kills.insert(task.clone(), grace_ms);
            book.launches[task].0
        };
        self.say(kill(task, run, grace_ms));
    }

    /// The newest update of `task`, as soon as it is as wished.
    pub(crate) async fn until(&self, task: &TaskId, is_wished: impl Fn(&TaskStatus) -> bool) -> TaskStatus {
        let mut changed = self.inner.changed.subscribe();
        let waiting = async {
            loop {
                if let Some(heard) = self.heard(task).filter(|heard| is_wished(heard)) {
                    return heard;
                }
                changed.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(status) => status,
            Err(_) => panic!("task {task} did not get there: {:?}", self.heard(task)),
        }
    }

    pub(crate) async fn running(&self, task: &TaskId) -> kogge_model::task::Running {
        let status = self.until(task, |heard| !matches!(heard.state, TaskState::Starting)).await;
        match status.state {
            TaskState::Running(running) => running,
            state => panic!("task {task} does not run: {} because {}", state.word(), status.reason),
        }
    }

    pub(crate) async fn ended(&self, task: &TaskId) -> TaskStatus {
        self.until(task, |heard| heard.state.is_terminal()).await
    }

    pub(crate) fn heard(&self, task: &TaskId) -> Option<TaskStatus> {
        self.book().heard.get(task).cloned()
    }

    /// What was told of it, less that it starts: of a quick start that is not told.
    pub(crate) fn history(&self, task: &TaskId) -> Vec<String> {
        let told = self.book().history.get(task).cloned().unwrap_or_default();
        told.into_iter().filter(|state| state != "starting").collect()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.inner.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn kill(task: &TaskId, run: RunId, grace_ms: u64) -> ToAgent {
    ToAgent::Kill {
        task: task.clone(),
        run,
        grace_ms: Some(grace_ms),
        reason: Reason::new("not wanted any more"),
    }
}
