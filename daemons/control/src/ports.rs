//! What control needs from others: small traits, adapted by the binary that wires the daemons together.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use kogge_discovery::RoutingTable;
use kogge_model::id::{AgentId, Generation, RunId, TaskId};
use kogge_model::image::ImageRef;
use kogge_model::link::{FromAgent, FromControl};
use kogge_model::port::Port;
use kogge_model::reason::Reason;
use kogge_model::template::Command;
use kogge_model::time::Timestamp;
use kogge_model::view::exec::{ExecInput, ExecOutput, ExecRequest};
use kogge_model::view::{ImageView, LogLineView};
use tokio::sync::{mpsc, watch};

/// A boxed future of a port's method.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// A boxed stream that a port hands out.
pub type Flow<T> = Pin<Box<dyn Stream<Item = T> + Send>>;

/// The wires to all agents.
pub struct AgentLinks {
    /// What agents say. Whoever fills it may drop when it is full: agents say everything again until answered.
    pub incoming: mpsc::Receiver<FromAgent>,
    /// What agents are told.
    pub outgoing: Arc<dyn ToAgents>,
}

/// Sends to agents without waiting; a message that cannot be sent now is dropped, the kernel repeats it.
pub trait ToAgents: Send + Sync {
    /// Hands `message` to the link of `agent`, if there is one with room.
    fn send(&self, agent: &AgentId, message: FromControl);
}

/// Reaches into tasks, whatever agent they are on.
pub trait TaskAccess: Send + Sync {
    /// Captured lines of `tasks`, merged by time. With `follow`, lines of tasks that come later are not among them.
    fn logs(&self, tasks: Vec<LogSubject>, wish: LogWish) -> Pending<'_, Result<Flow<LogLineView>, Reason>>;
    /// Runs a program inside a running task of `agent`.
    fn exec(
        &self,
        agent: AgentId,
        task: TaskId,
        request: ExecRequest,
    ) -> Pending<'_, Result<ExecSession, Reason>>;
}

/// A task whose lines are wanted, with the names people know it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSubject {
    /// The task.
    pub task: TaskId,
    /// Where it runs or ran.
    pub agent: AgentId,
    /// The service, told short.
    pub service: String,
    /// The instance, told short.
    pub instance: String,
}

/// Which of their lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogWish {
    /// Only lines from then on.
    pub since: Option<Timestamp>,
    /// Only the last so many of what is there.
    pub tail: Option<u32>,
    /// Whether to go on with lines as they are written.
    pub follow: bool,
}

/// A program running inside a task.
pub struct ExecSession {
    /// To the program. When full the sender waits.
    pub input: mpsc::Sender<ExecInput>,
    /// From the program; ends after its exit code. When full the program waits.
    pub output: mpsc::Receiver<ExecOutput>,
}

/// What an image says of itself, as far as a spec wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    /// Name and digest.
    pub image: ImageRef,
    /// Whether it knows what to run.
    pub command: Option<Command>,
    /// Ports it says it listens on, ascending.
    pub exposed_ports: Vec<Port>,
}

/// The images this cloud can run.
pub trait Images: Send + Sync {
    /// Finds the image, pulling it from its registry if it is not here.
    fn resolve(&self, name: String) -> Pending<'_, Result<ImageFacts, Reason>>;
    /// All images that are here.
    fn list(&self) -> Pending<'_, Result<Vec<ImageView>, Reason>>;
    /// Takes an archive (`docker save`, OCI layout); tells the images it held.
    fn load(
        &self,
        archive: Flow<std::io::Result<Bytes>>,
        name: Option<String>,
    ) -> Pending<'_, Result<Vec<ImageView>, Reason>>;
    /// Forgets a name; content goes when nothing needs it.
    fn remove(&self, name: String) -> Pending<'_, Result<(), Reason>>;
    /// Makes a base image from Debian packages; the lines tell the progress, the last says how it ended.
    fn build_base(&self, wish: BaseImageWish) -> Pending<'_, Result<Flow<Progress>, Reason>>;
}

/// A base image to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImageWish {
    /// Its name, `kogge/base:12`.
    pub name: String,
    /// Debian's suite, `bookworm`.
    pub suite: String,
    /// Packages on top of the minimal set.
    pub packages: Vec<String>,
}

/// News of something long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A line for people.
    Line(String),
    /// It worked; the image it made.
    Done(Box<ImageView>),
    /// It did not.
    Failed(Reason),
}

/// Where the newest routing table is put. Receivers only move forward.
pub type RoutingPublisher = watch::Sender<Arc<RoutingTable>>;

/// Knows when a retired instance has nothing left to do.
pub trait Drains: Send + Sync {
    /// Resolves when a table of at least `generation` is in force and no request to `run` is in flight.
    fn drained(&self, generation: Generation, run: RunId) -> Pending<'static, ()>;
}
