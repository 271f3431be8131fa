//! The machine a driver holds: catalog, routes, and the newest table.

use std::collections::BTreeSet;
use std::sync::Arc;

use kogge_model::id::Generation;

use crate::catalog::Catalog;
use crate::plan_routing_table::{IgnoredRoute, plan_routing_table};
use crate::route::Route;
use crate::routing_table::RoutingTable;

/// Holds what is known and numbers the tables made from it.
///
/// Change [`Discovery::catalog_mut`] and [`Discovery::set_routes`] as often as needed, then call
/// [`Discovery::refresh`] once and publish what it returns.
#[derive(Debug, Clone, Default)]
pub struct Discovery {
    catalog: Catalog,
    routes: BTreeSet<Route>,
    table: Arc<RoutingTable>,
    ignored: Vec<IgnoredRoute>,
}

impl Discovery {
    /// Knows nothing yet. Its first table gets the generation after `last`, so that receivers which obeyed an earlier
    /// process move forward too.
    #[must_use]
    pub fn new(last: Generation) -> Self {
        let table = RoutingTable { generation: last, ..RoutingTable::default() };
        Self { table: Arc::new(table), ..Self::default() }
    }

    /// What is known.
    #[must_use]
    pub const fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// To change what is known.
    pub const fn catalog_mut(&mut self) -> &mut Catalog {
        &mut self.catalog
    }

    /// Replaces all declared routes.
    pub fn set_routes(&mut self, routes: impl IntoIterator<Item = Route>) {
        self.routes = routes.into_iter().collect();
    }

    /// Makes the table anew. Returns it, one generation on, when it says something else than the last one.
    pub fn refresh(&mut self) -> Option<Arc<RoutingTable>> {
        let plan = plan_routing_table(self.table.generation().next(), &self.catalog, &self.routes);
        self.ignored = plan.ignored;
        if plan.table.says_the_same_as(&self.table) {
            return None;
        }
        self.table = Arc::new(plan.table);
        Some(Arc::clone(&self.table))
    }

    /// The newest table.
    #[must_use]
    pub const fn table(&self) -> &Arc<RoutingTable> {
        &self.table
    }

    /// Routes that the last [`Discovery::refresh`] could not obey.
    #[must_use]
    pub fn ignored_routes(&self) -> &[IgnoredRoute] {
        &self.ignored
    }
}
