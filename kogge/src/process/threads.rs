//! Threads of their own for parts of a server that must not wait for the others.
//!
//! What decides is busy for whole moments, when it reads a large state or hears thousands of agents: on the threads of the
//! connections it would hold these up until agents take the server for dead. The lease of whoever leads is kept apart
//! from both.

use std::future::Future;

use kogge_cli::Failure;
use kogge_host::tasks::TaskGroup;
use tokio::runtime::{Builder, Runtime};

use crate::told::failure;

/// Some threads; they end with this value, without waiting for anything.
pub(crate) struct Threads(Option<Runtime>);

impl Threads {
    /// Starts `count` of them.
    ///
    /// # Errors
    /// When the machine gives none.
    pub(crate) fn start(name: &'static str, count: usize) -> Result<Self, Failure> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(count)
            .thread_name(name)
            .enable_all()
            .build()
            .map_err(|error| failure("cannot start threads", &error))?;
        Ok(Self(Some(runtime)))
    }

    /// A group whose tasks run there, whoever starts them.
    pub(crate) fn group(&self, name: &'static str) -> TaskGroup {
        let _there = self.runtime().enter();
        TaskGroup::new(name)
    }

    /// Does `work` there; what that starts stays there.
    ///
    /// # Errors
    /// Those of `work`.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let done = self.runtime().spawn(work).await;
        done.map_err(|error| failure("a thread has ended", &error))?
    }

    fn runtime(&self) -> &Runtime {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
