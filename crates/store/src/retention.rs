//! What is too old goes, a little at a time, so that appending never waits long.

use sekisho_policy::Timestamp;

use crate::records::number;
use crate::{Store, StoreError};

/// Records deleted in one transaction.
const BATCH: i64 = 1_000;
/// Snapshots of each gateway that stay although no record refers to them: the ones in force may have no record yet.
const NEWEST_SNAPSHOTS: i64 = 8;

/// What [`Store::prune`] deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Records.
    pub records: u64,
    /// Snapshots that no record referred to any more.
    pub snapshots: u64,
}

impl Store {
    /// Deletes the records from before `before`, and the snapshots that then have no record, but for the newest few of
    /// each gateway. Gives the space back to the file system. The audit trail stays.
    ///
    /// # Errors
    /// [`StoreError`]; what was deleted until then stays deleted.
    pub async fn prune(&self, before: Timestamp) -> Result<Pruned, StoreError> {
        const OLD: &str = "DELETE FROM records WHERE seq IN (SELECT seq FROM records WHERE at < ?1 ORDER BY at LIMIT ?2)";
        let mut pruned = Pruned::default();
        loop {
            let old = sqlx::query(OLD).bind(number(before.0)).bind(BATCH);
            let deleted = old
                .execute(&self.writing)
                .await
                .map_err(|error| self.failed(error))?
                .rows_affected();
            pruned.records += deleted;
            if deleted == 0 {
                break;
            }
            self.give_space_back().await?;
        }
        pruned.snapshots = self.prune_snapshots().await?;
        self.give_space_back().await?;
        Ok(pruned)
    }

    async fn prune_snapshots(&self) -> Result<u64, StoreError> {
        const UNUSED: &str = "
            DELETE FROM snapshots WHERE id IN (
                SELECT id FROM (
                    SELECT id, row_number() OVER (PARTITION BY gateway ORDER BY last_seen DESC, id DESC) AS age FROM snapshots
                ) WHERE age > ?1
            ) AND NOT EXISTS (SELECT 1 FROM records WHERE records.snapshot = snapshots.id)";
        let unused = sqlx::query(UNUSED).bind(NEWEST_SNAPSHOTS);
        Ok(unused
            .execute(&self.writing)
            .await
            .map_err(|error| self.failed(error))?
            .rows_affected())
    }

    /// A part of the free pages, so that it takes no longer than a batch does.
    pub(crate) async fn give_space_back(&self) -> Result<(), StoreError> {
        // The statement frees one page for each row that is fetched.
        let freed = sqlx::query("PRAGMA incremental_vacuum(4000)")
            .fetch_all(&self.writing)
            .await;
        freed.map(drop).map_err(|error| self.failed(error))
    }
}
