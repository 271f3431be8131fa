//! The thread that speaks with the state engine. It has nothing else to do, so that the lease of whoever leads is kept
//! while thousands of agents come at once and the cores read a large state.

use std::sync::Arc;

use kogge_cli::Failure;
use kogge_store::Store;
use tokio::runtime::{Builder, Runtime};

use super::Engine;
use crate::told::failure;

/// Ends with its value, without waiting for anything.
pub(crate) struct EngineThread(Option<Runtime>);

impl EngineThread {
    /// Starts it.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub(crate) fn start() -> Result<Self, Failure> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("state-engine")
            .enable_all()
            .build()
            .map_err(|error| failure("cannot start a thread for the state engine", &error))?;
        Ok(Self(Some(runtime)))
    }

    /// Opens `engine` there: connections and leases stay on that thread, whoever asks for something.
    ///
    /// # Errors
    /// Those of the engine.
    pub(crate) async fn open(&self, engine: Engine) -> Result<Arc<dyn Store>, Failure> {
        let runtime = self.0.as_ref().expect("it is there until it is dropped");
        let opened = runtime.spawn(async move { engine.open().await }).await;
        opened.map_err(|error| failure("the thread for the state engine ended", &error))?
    }
}

impl Drop for EngineThread {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
