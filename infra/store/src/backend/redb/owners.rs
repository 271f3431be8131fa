//! Which lease owns which key, within one write transaction. Most groups never look, so the tables open late.

use redb::{ReadableTable, Table, WriteTransaction};

use crate::{Key, LeaseId};

use super::group::Failed;
use super::tables::{LEASE_KEYS, LEASES};

struct Tables<'t> {
    leases: Table<'t, u64, u64>,
    keys: Table<'t, (u64, &'static [u8]), ()>,
}

/// See the module.
pub(super) struct Owners<'t> {
    txn: &'t WriteTransaction,
    tables: Option<Tables<'t>>,
}

impl<'t> Owners<'t> {
    pub(super) const fn new(txn: &'t WriteTransaction) -> Self {
        Self { txn, tables: None }
    }

    /// The transaction, for tables that are touched even less.
    pub(super) const fn txn(&self) -> &'t WriteTransaction {
        self.txn
    }

    fn tables(&mut self) -> Result<&mut Tables<'t>, Failed> {
        let tables = match self.tables.take() {
            Some(tables) => tables,
            None => Tables { leases: self.txn.open_table(LEASES)?, keys: self.txn.open_table(LEASE_KEYS)? },
        };
        Ok(self.tables.insert(tables))
    }

    /// Makes a lease; its id must be new.
    pub(super) fn grant(&mut self, lease: LeaseId, ttl_ms: u64) -> Result<(), Failed> {
        let old = self.tables()?.leases.insert(lease.get(), ttl_ms)?;
        assert!(old.is_none(), "lease ids are never used twice");
        Ok(())
    }

    /// Whether the lease has not ended.
    pub(super) fn lives(&mut self, lease: LeaseId) -> Result<bool, Failed> {
        Ok(self.tables()?.leases.get(lease.get())?.is_some())
    }

    /// Ends a lease and names the keys it owns, which must now be deleted. None if there is no such lease.
    pub(super) fn end(&mut self, lease: LeaseId) -> Result<Option<Vec<Key>>, Failed> {
        let tables = self.tables()?;
        if tables.leases.remove(lease.get())?.is_none() {
            return Ok(None);
        }
        let mut owned = Vec::new();
        for row in tables.keys.range((lease.get(), &[][..])..(lease.get() + 1, &[][..]))? {
            owned.push(Key::from(row?.0.value().1));
        }
        Ok(Some(owned))
    }

    /// The key passes from one owner to another.
    pub(super) fn pass(
        &mut self,
        key: &Key,
        from: Option<LeaseId>,
        to: Option<LeaseId>,
    ) -> Result<(), Failed> {
        if from == to {
            return Ok(());
        }
        let tables = self.tables()?;
        if let Some(from) = from {
            tables.keys.remove((from.get(), &key[..]))?;
        }
        if let Some(to) = to {
            tables.keys.insert((to.get(), &key[..]), ())?;
        }
        Ok(())
    }
}
