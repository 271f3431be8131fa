//! When the router is done with an instance.

use kogge_control::ports::{Drains, Pending};
use kogge_model::id::{Generation, RunId};
use kogge_router::Router;

/// The router in this process.
pub(crate) struct RouterDrains(pub(crate) Router);

impl Drains for RouterDrains {
    fn drained(&self, generation: Generation, run: RunId) -> Pending<'static, ()> {
        let router = self.0.clone();
        Box::pin(async move { router.drained(generation, run).await })
    }
}
