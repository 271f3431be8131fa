//! The tables of the data file.

use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

use crate::Revision;

type Failed = redb::Error;

/// Numbers about the store itself, under the names below.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// Key → record ([`super::record`]).
pub(super) const KEYS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("keys");
/// Revision → batch ([`super::record`]); without gaps, the newest ones only.
pub(super) const HISTORY: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("history");
/// Lease → TTL in milliseconds; 0 for a lease that lives as long as the process that holds the store.
pub(super) const LEASES: TableDefinition<'_, u64, u64> = TableDefinition::new("leases");
/// (Lease, key it owns).
pub(super) const LEASE_KEYS: TableDefinition<'_, (u64, &[u8]), ()> = TableDefinition::new("lease_keys");

/// In [`META`]: the format of everything above.
pub(super) const FORMAT: &str = "format";
/// In [`META`]: how often the store was opened.
pub(super) const EPOCH: &str = "epoch";
/// In [`META`]: the last record of the log ([`super::log`]) whose effects are in the tables.
pub(super) const LOGGED: &str = "logged";
/// In [`META`]: the length of the log in bytes while it may hold more than the tables; 0 when it was not begun, or
/// the store was closed.
pub(super) const IN_LOG: &str = "in_log";
/// In [`META`]: the revision when the history is empty (after a restore or a full compaction).
pub(super) const BASE: &str = "base";

/// The format this program writes, and the newest it reads. Format 1 had no log; it is taken over when opened.
pub(super) const FORMAT_VERSION: u64 = 2;

/// The first and the last revision of the history, or the base twice, one apart, when there is none.
pub(super) struct Span {
    pub(super) oldest: Revision,
    pub(super) head: Revision,
}

/// What revisions a consistent view of the store holds.
pub(super) fn span(
    history: &impl ReadableTable<u64, &'static [u8]>,
    meta: &impl ReadableTable<&'static str, u64>,
) -> Result<Span, Failed> {
    if let (Some((first, _)), Some((last, _))) = (history.first()?, history.last()?) {
        return Ok(Span { oldest: Revision::new(first.value()), head: Revision::new(last.value()) });
    }
    let head = Revision::new(meta.get(BASE)?.map_or(0, |base| base.value()));
    Ok(Span { oldest: head.next(), head })
}

/// [`span`] of a read transaction.
pub(super) fn span_of(txn: &ReadTransaction) -> Result<Span, Failed> {
    span(&txn.open_table(HISTORY)?, &txn.open_table(META)?)
}

/// Makes the tables that do not exist yet; readers and [`super::group`] count on them.
pub(super) fn make_all(txn: &WriteTransaction) -> Result<(), Failed> {
    txn.open_table(META)?;
    txn.open_table(KEYS)?;
    txn.open_table(HISTORY)?;
    txn.open_table(LEASES)?;
    txn.open_table(LEASE_KEYS)?;
    Ok(())
}
