//! What is too old goes, a little at a time, so that appending never waits long.

use std::ops::ControlFlow;
use std::time::Duration;

use sekisho_policy::Timestamp;
use sqlx::AssertSqlSafe;
use tokio::time::Instant;

use crate::records::number;
use crate::{Store, StoreError};

/// Records deleted in one transaction. In many at once a page of an index is rewritten once, and what is to be written waits the longer.
const BATCH: i64 = 2_000;
/// Pages given back to the file system in one step, so that it takes no longer than a batch does.
const PAGES: i64 = 4_000;
/// One free page for so many that are in use stays for the records to come. To give back each one at once would move the
/// records that stay towards the front of the file again and again, as fast as others are written behind them.
const IN_USE_FOR_EACH_FREE: i64 = 4;
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
        let at_once = |_| std::future::ready(ControlFlow::Continue(()));
        self.prune_with(before, at_once).await
    }

    /// The same, a little at a time: after each part, of some 50 ms, `pause` hears how long that took, and can leave the store to others
    /// before it goes on, or end it.
    ///
    /// # Errors
    /// [`StoreError`]; what was deleted until then stays deleted.
    pub async fn prune_with<P: Future<Output = ControlFlow<()>>>(
        &self,
        before: Timestamp,
        pause: impl Fn(Duration) -> P,
    ) -> Result<Pruned, StoreError> {
        let mut pruned = Pruned::default();
        loop {
            let begin = Instant::now();
            let some = self.prune_some(before).await?;
            pruned.records += some.records;
            pruned.snapshots += some.snapshots;
            if some.records == 0 || pause(begin.elapsed()).await.is_break() {
                return Ok(pruned);
            }
        }
    }

    /// A few of the oldest records, or, when none is left, the snapshots.
    async fn prune_some(&self, before: Timestamp) -> Result<Pruned, StoreError> {
        const OLD: &str = "DELETE FROM records WHERE seq IN (SELECT seq FROM records WHERE at < ?1 ORDER BY at LIMIT ?2)";
        let old = sqlx::query(OLD).bind(number(before.0)).bind(BATCH);
        let deleted = old.execute(&self.writing).await;
        let records = deleted.map_err(|error| self.failed(error))?.rows_affected();
        let snapshots = match records {
            0 => self.prune_snapshots().await?,
            _ => 0,
        };
        self.give_space_back().await?;
        Ok(Pruned { records, snapshots })
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

    /// A part of the free pages that are more than records to come will soon need.
    pub(crate) async fn give_space_back(&self) -> Result<(), StoreError> {
        const FREE: &str =
            "SELECT freelist_count, page_count FROM pragma_freelist_count, pragma_page_count";
        let counts = sqlx::query_as(FREE).fetch_one(&self.writing).await;
        let (free, all): (i64, i64) = counts.map_err(|error| self.failed(error))?;
        let spare = free - (all - free) / IN_USE_FOR_EACH_FREE;
        if spare <= 0 {
            return Ok(());
        }
        // The statement frees one page for each row that is fetched.
        let vacuum = format!("PRAGMA incremental_vacuum({})", spare.min(PAGES));
        let freed = sqlx::query(AssertSqlSafe(vacuum))
            .fetch_all(&self.writing)
            .await;
        freed.map(drop).map_err(|error| self.failed(error))
    }
}
