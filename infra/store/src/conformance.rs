//! What every engine must do, in words that run. A backend calls [`suite`] with its [`Rig`].
//!
//! The suite knows only the trait. It gives engines room where they differ: a lease may live longer than asked
//! for, a list's revision may stop being readable, progress may be told rarely.

pub(crate) mod commits;
pub(crate) mod elections;
pub(crate) mod followers;
pub(crate) mod imports;
pub(crate) mod leases;
pub(crate) mod lists;
pub(crate) mod restarts;
pub(crate) mod watches;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::{Change, Commit, Consistency, Entry, Key, Range, Revision, Store, Watch};

/// One empty store of an engine, in reach of the test. Nobody else writes to it: revisions follow each other.
pub(crate) trait Rig: Send + Sync {
    /// A connection to the store; at most one lives at a time.
    fn open(&self) -> impl Future<Output = Arc<dyn Store>> + Send;

    /// Kogge and its engine stop, without a farewell, and start again. An engine that lives in this process stops
    /// with the connection; one that is a program of its own is killed here.
    fn restart(&self, store: Arc<dyn Store>) -> impl Future<Output = Arc<dyn Store>> + Send {
        drop(store);
        self.open()
    }
}

/// Runs every check against an engine: `suite!(expression that makes a fresh rig)`, which may await.
macro_rules! suite {
    ($rig:expr) => {
        $crate::conformance::suite! { $rig;
            commits: eight_writers_increment_to_the_exact_sum,
            commits: one_failing_guard_changes_nothing,
            commits: numbers_of_an_entry_follow_its_life,
            commits: a_commit_without_effect_moves_no_revision,
            commits: commits_out_of_bounds_are_refused_with_the_reason,
            commits: the_largest_value_comes_back_as_it_went_in,
            commits: odd_keys_are_kept_apart,
            lists: a_hundred_thousand_keys_are_listed,
            lists: pages_show_one_revision_while_writers_run,
            lists: a_prefix_lists_exactly_its_keys,
            watches: a_watch_sees_each_revision_once_across_disconnects,
            watches: a_batch_is_told_whole_and_only_under_its_prefix,
            watches: a_watch_from_before_a_compaction_is_told_to_list_again,
            watches: a_watch_from_a_future_that_never_was_is_told_to_list_again,
            watches: a_watcher_of_a_quiet_prefix_learns_how_far_the_store_is,
            leases: the_end_of_a_lease_deletes_its_keys_in_one_batch,
            leases: signs_of_life_keep_a_lease,
            leases: a_revoked_lease_is_gone_at_once,
            leases: a_put_without_the_lease_frees_the_key,
            elections: a_deposed_leader_cannot_write,
            elections: one_of_many_candidates_leads_at_a_time,
            restarts: revisions_go_on_after_a_restart,
            restarts: a_watch_goes_on_after_a_restart_or_is_told_to_list_again,
            restarts: leases_outlive_a_restart_and_then_end,
            restarts: no_leader_survives_a_restart_of_the_only_process,
            restarts: a_snapshot_holds_everything_without_an_owner,
            imports: an_import_fills_an_empty_store_even_after_one_that_ended_halfway,
        }
    };
    ($rig:expr; $($file:ident : $check:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                let rig = $rig;
                let check = $crate::conformance::$file::$check(&rig);
                tokio::time::timeout(std::time::Duration::from_secs(120), check).await.expect("within two minutes");
            }
        )*
    };
}
pub(crate) use suite;

/// The longest a single step may take.
const STEP: Duration = Duration::from_secs(30);

async fn next(watch: &mut Watch) -> Option<Change> {
    tokio::time::timeout(STEP, watch.next()).await.expect("the watch tells something in time")
}

/// The next change that is no mere progress.
async fn next_told(watch: &mut Watch) -> Option<Change> {
    loop {
        match next(watch).await {
            Some(Change::Progress(_)) => {}
            other => return other,
        }
    }
}

async fn find(store: &Arc<dyn Store>, key: &str) -> Option<Entry> {
    store.get(&Key::from(key), Consistency::Linearizable).await.unwrap().entry
}

async fn put(store: &Arc<dyn Store>, key: &str, value: &str) -> Revision {
    store.commit(Commit::new().put(key, value.to_owned())).await.unwrap()
}

async fn list(store: &Arc<dyn Store>, prefix: &str) -> Vec<Entry> {
    store.range(Range::prefix(prefix)).await.unwrap().entries
}
