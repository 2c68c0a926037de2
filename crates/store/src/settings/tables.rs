//! The statements on the tables of settings, run by the driver itself. Both databases take the same text; those about many rows at
//! once are put together for as many.

use super::rows::{Event, Item, JobRow, NOTHING, Revision, Row};

type Sql<T> = Result<T, sqlx::Error>;

/// A connection to a database that has the tables. Whatever changes settings begins with [`Tables::lock`].
pub(super) trait Tables: Send {
    /// Keeps everybody else from changing anything in the namespace until the transaction ends.
    fn lock(&mut self, namespace: &str) -> impl Future<Output = Sql<Revision>> + Send;
    fn advance(&mut self, namespace: &str, to: Revision) -> impl Future<Output = Sql<()>> + Send;
    fn revision(&mut self, namespace: &str) -> impl Future<Output = Sql<Revision>> + Send;
    /// Where each namespace is.
    fn places(&mut self) -> impl Future<Output = Sql<Vec<(String, i64)>>> + Send;
    /// What the store is called.
    fn identity(&mut self) -> impl Future<Output = Sql<String>> + Send;
    fn cautious_time(&mut self) -> impl Future<Output = Sql<i64>> + Send;
    /// The rows of accounts, those that were reset too.
    fn rows(
        &mut self,
        namespace: &str,
        accounts: &[&str],
    ) -> impl Future<Output = Sql<Vec<Row>>> + Send;
    fn put(&mut self, namespace: &str, rows: &[Row]) -> impl Future<Output = Sql<()>> + Send;
    fn note(&mut self, namespace: &str, events: &[Event]) -> impl Future<Output = Sql<()>> + Send;
    /// Rows that changed after a revision, in the order of their revisions.
    fn since(
        &mut self,
        namespace: &str,
        revision: i64,
        most: i64,
    ) -> impl Future<Output = Sql<Vec<Row>>> + Send;
    /// Rows that hold, in the order of their revisions.
    fn standing(
        &mut self,
        namespace: &str,
        most: i64,
    ) -> impl Future<Output = Sql<Vec<Row>>> + Send;
    /// Rows that hold, in the order of their accounts, after one of them.
    fn after(
        &mut self,
        namespace: &str,
        account: &str,
        most: i64,
    ) -> impl Future<Output = Sql<Vec<Row>>> + Send;
    fn history(
        &mut self,
        namespace: &str,
        account: &str,
        most: i64,
    ) -> impl Future<Output = Sql<Vec<Event>>> + Send;
    /// Writes a new job down; whether there was none of its number.
    fn open_job(&mut self, job: &JobRow) -> impl Future<Output = Sql<bool>> + Send;
    /// Lets a job begin; whether it was still being written down.
    fn start_job(&mut self, id: i64) -> impl Future<Output = Sql<bool>> + Send;
    /// Notes how far a job is.
    fn save_job(&mut self, job: &JobRow) -> impl Future<Output = Sql<()>> + Send;
    fn job(&mut self, id: i64) -> impl Future<Output = Sql<Option<JobRow>>> + Send;
    fn jobs(&mut self, namespace: &str, most: i64)
    -> impl Future<Output = Sql<Vec<JobRow>>> + Send;
    /// Jobs that are not over, the oldest first.
    fn jobs_to_do(&mut self, most: i64) -> impl Future<Output = Sql<Vec<JobRow>>> + Send;
    fn newest_job(&mut self) -> impl Future<Output = Sql<i64>> + Send;
    fn put_items(&mut self, job: i64, items: &[Item]) -> impl Future<Output = Sql<()>> + Send;
    fn items(
        &mut self,
        job: i64,
        after: i64,
        most: i64,
    ) -> impl Future<Output = Sql<Vec<Item>>> + Send;
    fn forget_items(&mut self, job: i64) -> impl Future<Output = Sql<()>> + Send;
    /// Namespaces with rows that were reset before a time.
    fn places_with_reset(&mut self, before: i64) -> impl Future<Output = Sql<Vec<String>>> + Send;
    /// Forgets some rows that were reset before a time; their revisions.
    fn forget_reset(
        &mut self,
        namespace: &str,
        before: i64,
        most: i64,
    ) -> impl Future<Output = Sql<Vec<i64>>> + Send;
    fn move_horizon(&mut self, namespace: &str, to: i64) -> impl Future<Output = Sql<()>> + Send;
    /// Forgets some of what happened before a time.
    fn forget_history(&mut self, before: i64, most: i64) -> impl Future<Output = Sql<u64>> + Send;
    /// Forgets some jobs that were over before a time.
    fn forget_jobs(&mut self, before: i64, most: i64) -> impl Future<Output = Sql<u64>> + Send;
}

const LOCK: &str = "
    INSERT INTO settings_revision (namespace, revision, horizon, accounts) VALUES ($1, 1, 0, 0)
    ON CONFLICT (namespace) DO UPDATE SET revision = settings_revision.revision
    RETURNING revision, horizon, accounts";
const ADVANCE: &str =
    "UPDATE settings_revision SET revision = $2, accounts = $3 WHERE namespace = $1";
const REVISION: &str =
    "SELECT revision, horizon, accounts FROM settings_revision WHERE namespace = $1";
const PLACES: &str = "SELECT namespace, revision FROM settings_revision";
const IDENTITY: &str = "SELECT identity FROM account_store WHERE one = 1";
const CAUTIOUS: &str = "SELECT cautious FROM account_store WHERE one = 1";
const ROWS: &str =
    "SELECT account, revision, own, reset_at, json FROM account_settings WHERE namespace = ";
const PUT: &str =
    "INSERT INTO account_settings (namespace, account, revision, own, reset_at, json) ";
const OR_REPLACE: &str = " ON CONFLICT (namespace, account) DO UPDATE SET
        revision = excluded.revision, own = excluded.own, reset_at = excluded.reset_at, json = excluded.json";
const NOTE: &str =
    "INSERT INTO settings_history (namespace, revision, account, at, job, who, why, json) ";
const SINCE: &str = "
    SELECT account, revision, own, reset_at, json FROM account_settings
    WHERE namespace = $1 AND revision > $2 ORDER BY revision LIMIT $3";
const STANDING: &str = "
    SELECT account, revision, own, reset_at, json FROM account_settings
    WHERE namespace = $1 AND reset_at IS NULL ORDER BY revision LIMIT $2";
const AFTER: &str = "
    SELECT account, revision, own, reset_at, json FROM account_settings
    WHERE namespace = $1 AND account > $2 AND reset_at IS NULL ORDER BY account LIMIT $3";
const HISTORY: &str = "
    SELECT h.revision, h.account, h.at, h.job, coalesce(j.who, h.who) AS who, coalesce(j.why, h.why) AS why, h.json
    FROM settings_history AS h LEFT JOIN settings_jobs AS j ON j.id = h.job
    WHERE h.namespace = $1 AND h.account = $2 ORDER BY h.revision DESC LIMIT $3";
const OPEN_JOB: &str = "
    INSERT INTO settings_jobs (id, namespace, who, why, spec, state, total, done, changed, place, finished_at, trouble)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    ON CONFLICT (id) DO NOTHING";
const START_JOB: &str =
    "UPDATE settings_jobs SET state = 'Running' WHERE id = $1 AND state = 'Loading'";
const SAVE_JOB: &str = "
    UPDATE settings_jobs SET state = $2, total = $3, done = $4, changed = $5, place = $6, finished_at = $7, trouble = $8
    WHERE id = $1";
const JOB: &str = "SELECT * FROM settings_jobs WHERE id = $1";
const JOBS: &str = "SELECT * FROM settings_jobs WHERE namespace = $1 ORDER BY id DESC LIMIT $2";
const TO_DO: &str = "SELECT * FROM settings_jobs WHERE finished_at IS NULL ORDER BY id LIMIT $1";
const NEWEST_JOB: &str = "SELECT coalesce(max(id), 0) FROM settings_jobs";
const PUT_ITEMS: &str = "INSERT INTO settings_job_items (job, item, account, json) ";
const ITEMS: &str = "
    SELECT item, account, json FROM settings_job_items
    WHERE job = $1 AND item > $2 ORDER BY item LIMIT $3";
const FORGET_ITEMS: &str = "DELETE FROM settings_job_items WHERE job = $1";
const PLACES_WITH_RESET: &str = "
    SELECT DISTINCT namespace FROM account_settings WHERE reset_at IS NOT NULL AND reset_at < $1";
const FORGET_RESET: &str = "
    DELETE FROM account_settings WHERE namespace = $1 AND revision IN (
        SELECT revision FROM account_settings
        WHERE namespace = $1 AND reset_at IS NOT NULL AND reset_at < $2 ORDER BY reset_at LIMIT $3)
    RETURNING revision";
const MOVE_HORIZON: &str =
    "UPDATE settings_revision SET horizon = $2 WHERE namespace = $1 AND horizon < $2";
const FORGET_HISTORY: &str = "
    DELETE FROM settings_history WHERE (namespace, revision) IN (
        SELECT namespace, revision FROM settings_history WHERE at < $1 ORDER BY at LIMIT $2)";
const FORGET_JOBS: &str = "
    DELETE FROM settings_jobs WHERE id IN (
        SELECT id FROM settings_jobs WHERE finished_at IS NOT NULL AND finished_at < $1 LIMIT $2)";

/// The same for each driver: their types have nothing in common that could be written once.
macro_rules! tables {
    ($database:ty, $connection:ty) => {
        impl Tables for $connection {
            async fn lock(&mut self, namespace: &str) -> Sql<Revision> {
                sqlx::query_as(LOCK).bind(namespace).fetch_one(self).await
            }

            async fn advance(&mut self, namespace: &str, to: Revision) -> Sql<()> {
                let query = sqlx::query(ADVANCE).bind(namespace);
                let query = query.bind(to.revision).bind(to.accounts);
                query.execute(self).await.map(drop)
            }

            async fn revision(&mut self, namespace: &str) -> Sql<Revision> {
                let query = sqlx::query_as(REVISION).bind(namespace);
                Ok(query.fetch_optional(self).await?.unwrap_or(NOTHING))
            }

            async fn places(&mut self) -> Sql<Vec<(String, i64)>> {
                sqlx::query_as(PLACES).fetch_all(self).await
            }

            async fn identity(&mut self) -> Sql<String> {
                sqlx::query_scalar(IDENTITY).fetch_one(self).await
            }

            async fn cautious_time(&mut self) -> Sql<i64> {
                sqlx::query_scalar(CAUTIOUS).fetch_one(self).await
            }

            async fn rows(&mut self, namespace: &str, accounts: &[&str]) -> Sql<Vec<Row>> {
                if accounts.is_empty() {
                    return Ok(Vec::new());
                }
                let mut query = QueryBuilder::<$database>::new(ROWS);
                query.push_bind(namespace).push(" AND account IN (");
                let mut list = query.separated(", ");
                for account in accounts {
                    list.push_bind(*account);
                }
                query.push(")");
                query.build_query_as().fetch_all(self).await
            }

            async fn put(&mut self, namespace: &str, rows: &[Row]) -> Sql<()> {
                if rows.is_empty() {
                    return Ok(());
                }
                let mut query = QueryBuilder::<$database>::new(PUT);
                query.push_values(rows, |mut tuple, row| {
                    tuple.push_bind(namespace).push_bind(&row.account);
                    tuple.push_bind(row.revision).push_bind(row.own);
                    tuple.push_bind(row.reset_at).push_bind(&row.json);
                });
                query.push(OR_REPLACE);
                query.build().execute(self).await.map(drop)
            }

            async fn note(&mut self, namespace: &str, events: &[Event]) -> Sql<()> {
                if events.is_empty() {
                    return Ok(());
                }
                let mut query = QueryBuilder::<$database>::new(NOTE);
                query.push_values(events, |mut tuple, event| {
                    tuple.push_bind(namespace).push_bind(event.revision);
                    tuple.push_bind(&event.account).push_bind(event.at);
                    tuple.push_bind(event.job).push_bind(&event.who);
                    tuple.push_bind(&event.why).push_bind(&event.json);
                });
                query.build().execute(self).await.map(drop)
            }

            async fn since(&mut self, namespace: &str, revision: i64, most: i64) -> Sql<Vec<Row>> {
                let query = sqlx::query_as(SINCE)
                    .bind(namespace)
                    .bind(revision)
                    .bind(most);
                query.fetch_all(self).await
            }

            async fn standing(&mut self, namespace: &str, most: i64) -> Sql<Vec<Row>> {
                let query = sqlx::query_as(STANDING).bind(namespace).bind(most);
                query.fetch_all(self).await
            }

            async fn after(&mut self, namespace: &str, account: &str, most: i64) -> Sql<Vec<Row>> {
                let query = sqlx::query_as(AFTER)
                    .bind(namespace)
                    .bind(account)
                    .bind(most);
                query.fetch_all(self).await
            }

            async fn history(
                &mut self,
                namespace: &str,
                account: &str,
                most: i64,
            ) -> Sql<Vec<Event>> {
                let query = sqlx::query_as(HISTORY)
                    .bind(namespace)
                    .bind(account)
                    .bind(most);
                query.fetch_all(self).await
            }

            async fn open_job(&mut self, job: &JobRow) -> Sql<bool> {
                let query = sqlx::query(OPEN_JOB).bind(job.id).bind(&job.namespace);
                let query = query.bind(&job.who).bind(&job.why).bind(&job.spec);
                let query = query.bind(&job.state).bind(job.total).bind(job.done);
                let query = query.bind(job.changed).bind(&job.place);
                let query = query.bind(job.finished_at).bind(&job.trouble);
                Ok(query.execute(self).await?.rows_affected() > 0)
            }

            async fn start_job(&mut self, id: i64) -> Sql<bool> {
                let query = sqlx::query(START_JOB).bind(id);
                Ok(query.execute(self).await?.rows_affected() > 0)
            }

            async fn save_job(&mut self, job: &JobRow) -> Sql<()> {
                let query = sqlx::query(SAVE_JOB).bind(job.id).bind(&job.state);
                let query = query.bind(job.total).bind(job.done).bind(job.changed);
                let query = query.bind(&job.place).bind(job.finished_at);
                query.bind(&job.trouble).execute(self).await.map(drop)
            }

            async fn job(&mut self, id: i64) -> Sql<Option<JobRow>> {
                sqlx::query_as(JOB).bind(id).fetch_optional(self).await
            }

            async fn jobs(&mut self, namespace: &str, most: i64) -> Sql<Vec<JobRow>> {
                let query = sqlx::query_as(JOBS).bind(namespace).bind(most);
                query.fetch_all(self).await
            }

            async fn jobs_to_do(&mut self, most: i64) -> Sql<Vec<JobRow>> {
                let query = sqlx::query_as(TO_DO).bind(most);
                query.fetch_all(self).await
            }

            async fn newest_job(&mut self) -> Sql<i64> {
                sqlx::query_scalar(NEWEST_JOB).fetch_one(self).await
            }

            async fn put_items(&mut self, job: i64, items: &[Item]) -> Sql<()> {
                if items.is_empty() {
                    return Ok(());
                }
                let mut query = QueryBuilder::<$database>::new(PUT_ITEMS);
                query.push_values(items, |mut tuple, item| {
                    tuple.push_bind(job).push_bind(item.item);
                    tuple.push_bind(&item.account).push_bind(&item.json);
                });
                query.build().execute(self).await.map(drop)
            }

            async fn items(&mut self, job: i64, after: i64, most: i64) -> Sql<Vec<Item>> {
                let query = sqlx::query_as(ITEMS).bind(job).bind(after).bind(most);
                query.fetch_all(self).await
            }

            async fn forget_items(&mut self, job: i64) -> Sql<()> {
                let query = sqlx::query(FORGET_ITEMS).bind(job);
                query.execute(self).await.map(drop)
            }

            async fn places_with_reset(&mut self, before: i64) -> Sql<Vec<String>> {
                let query = sqlx::query_scalar(PLACES_WITH_RESET).bind(before);
                query.fetch_all(self).await
            }

            async fn forget_reset(
                &mut self,
                namespace: &str,
                before: i64,
                most: i64,
            ) -> Sql<Vec<i64>> {
                let query = sqlx::query_scalar(FORGET_RESET).bind(namespace);
                query.bind(before).bind(most).fetch_all(self).await
            }

            async fn move_horizon(&mut self, namespace: &str, to: i64) -> Sql<()> {
                let query = sqlx::query(MOVE_HORIZON).bind(namespace).bind(to);
                query.execute(self).await.map(drop)
            }

            async fn forget_history(&mut self, before: i64, most: i64) -> Sql<u64> {
                let query = sqlx::query(FORGET_HISTORY).bind(before).bind(most);
                Ok(query.execute(self).await?.rows_affected())
            }

            async fn forget_jobs(&mut self, before: i64, most: i64) -> Sql<u64> {
                let query = sqlx::query(FORGET_JOBS).bind(before).bind(most);
                Ok(query.execute(self).await?.rows_affected())
            }
        }
    };
}

mod sqlite {
    use sqlx::{QueryBuilder, Sqlite};

    use super::*;

    tables!(Sqlite, sqlx::SqliteConnection);
}

mod postgres {
    use sqlx::{Postgres, QueryBuilder};

    use super::*;

    tables!(Postgres, sqlx::PgConnection);
}
