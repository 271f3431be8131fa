//! Starts what HTTP/2 starts, under supervision.

use std::future::Future;

use kogge_host::tasks::{OnPanic, TaskGroup};

/// hyper's streams as tasks of a group.
#[derive(Debug, Clone)]
pub(crate) struct Supervised(pub(crate) TaskGroup);

impl<F> hyper::rt::Executor<F> for Supervised
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn("stream", OnPanic::Log, future);
    }
}
