//! The statements on the tables of accounts, run by the driver itself. Both databases take the same text.

/// Where the tables are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Revision {
    pub(super) revision: i64,
    /// Up to here what ended may have been forgotten.
    pub(super) horizon: i64,
}

/// One row of `restrictions`.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) namespace: String,
    pub(super) account: String,
    pub(super) origin: String,
    pub(super) revision: i64,
    pub(super) until_at: Option<i64>,
    pub(super) ended_at: Option<i64>,
    pub(super) json: String,
}

/// One row of `account_history`.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) revision: i64,
    pub(super) namespace: String,
    pub(super) account: String,
    pub(super) at: i64,
    pub(super) action: String,
    pub(super) who: String,
    pub(super) why: String,
    pub(super) json: String,
}

type Sql<T> = Result<T, sqlx::Error>;

/// A connection to a database that has the tables. Whatever changes them begins with [`Tables::lock`].
pub(super) trait Tables: Send {
    /// Keeps everybody else from changing anything until the transaction ends.
    fn lock(&mut self) -> impl Future<Output = Sql<Revision>> + Send;
    fn revision(&mut self) -> impl Future<Output = Sql<Revision>> + Send;
    /// The next revision: one more, or the time if that is more, so that it grows even after a restore.
    fn advance(&mut self, now: i64) -> impl Future<Output = Sql<i64>> + Send;
    fn row(
        &mut self,
        namespace: &str,
        account: &str,
        origin: &str,
    ) -> impl Future<Output = Sql<Option<Row>>> + Send;
    fn put(&mut self, row: &Row) -> impl Future<Output = Sql<()>> + Send;
    fn note(&mut self, event: &Event) -> impl Future<Output = Sql<()>> + Send;
    /// All rows of an account, those that ended too.
    fn of_account(
        &mut self,
        namespace: &str,
        account: &str,
    ) -> impl Future<Output = Sql<Vec<Row>>> + Send;
    /// Rows that changed after a revision, in the order of their revisions.
    fn since(
        &mut self,
        namespace: &str,
        revision: i64,
        most: i64,
    ) -> impl Future<Output = Sql<Vec<Row>>> + Send;
    /// Rows that stand, in the order of their revisions.
    fn standing(
        &mut self,
        namespace: &str,
        most: i64,
    ) -> impl Future<Output = Sql<Vec<Row>>> + Send;
    /// How many stand, up to `most`.
    fn count(&mut self, namespace: &str, most: i64) -> impl Future<Output = Sql<i64>> + Send;
    /// Rows that stand and are over at that time.
    fn due(&mut self, now: i64, most: i64) -> impl Future<Output = Sql<Vec<Row>>> + Send;
    fn history(
        &mut self,
        namespace: &str,
        account: &str,
        most: i64,
    ) -> impl Future<Output = Sql<Vec<Event>>> + Send;
    /// Forgets rows that ended before a time, and moves the horizon behind them.
    fn forget_ended(&mut self, before: i64) -> impl Future<Output = Sql<()>> + Send;
    /// Forgets what happened before a time.
    fn forget_history(&mut self, before: i64) -> impl Future<Output = Sql<u64>> + Send;
}

const LOCK: &str =
    "UPDATE account_revision SET revision = revision WHERE one = 1 RETURNING revision, horizon";
const REVISION: &str = "SELECT revision, horizon FROM account_revision WHERE one = 1";
const ADVANCE: &str = "
    UPDATE account_revision SET revision = CASE WHEN revision + 1 > $1 THEN revision + 1 ELSE $1 END
    WHERE one = 1 RETURNING revision";
const ROW: &str = "
    SELECT namespace, account, origin, revision, until_at, ended_at, json FROM restrictions
    WHERE namespace = $1 AND account = $2 AND origin = $3";
const PUT: &str = "
    INSERT INTO restrictions (namespace, account, origin, revision, until_at, ended_at, json)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (namespace, account, origin) DO UPDATE SET
        revision = excluded.revision, until_at = excluded.until_at, ended_at = excluded.ended_at, json = excluded.json";
const NOTE: &str = "
    INSERT INTO account_history (revision, namespace, account, at, action, who, why, json)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const OF_ACCOUNT: &str = "
    SELECT namespace, account, origin, revision, until_at, ended_at, json FROM restrictions
    WHERE namespace = $1 AND account = $2 ORDER BY revision";
const SINCE: &str = "
    SELECT namespace, account, origin, revision, until_at, ended_at, json FROM restrictions
    WHERE namespace = $1 AND revision > $2 ORDER BY revision LIMIT $3";
const STANDING: &str = "
    SELECT namespace, account, origin, revision, until_at, ended_at, json FROM restrictions
    WHERE namespace = $1 AND ended_at IS NULL ORDER BY revision LIMIT $2";
const COUNT: &str = "
    SELECT count(*) FROM (SELECT 1 FROM restrictions WHERE namespace = $1 AND ended_at IS NULL LIMIT $2) AS standing";
const DUE: &str = "
    SELECT namespace, account, origin, revision, until_at, ended_at, json FROM restrictions
    WHERE ended_at IS NULL AND until_at IS NOT NULL AND until_at <= $1 ORDER BY until_at LIMIT $2";
const HISTORY: &str = "
    SELECT revision, namespace, account, at, action, who, why, json FROM account_history
    WHERE namespace = $1 AND account = $2 ORDER BY revision DESC LIMIT $3";
const HORIZON: &str = "
    UPDATE account_revision SET horizon = coalesce(
        (SELECT max(revision) FROM restrictions WHERE ended_at IS NOT NULL AND ended_at < $1 AND revision > horizon), horizon)
    WHERE one = 1";
const FORGET_ENDED: &str = "DELETE FROM restrictions WHERE ended_at IS NOT NULL AND ended_at < $1";
const FORGET_HISTORY: &str = "DELETE FROM account_history WHERE at < $1";

/// The same for each driver: their types have nothing in common that could be written once.
macro_rules! tables {
    ($connection:ty, $row:ty) => {
        impl Tables for $connection {
            async fn lock(&mut self) -> Sql<Revision> {
                revision_of(&sqlx::query(LOCK).fetch_one(self).await?)
            }

            async fn revision(&mut self) -> Sql<Revision> {
                revision_of(&sqlx::query(REVISION).fetch_one(self).await?)
            }

            async fn advance(&mut self, now: i64) -> Sql<i64> {
                let row = sqlx::query(ADVANCE).bind(now).fetch_one(self).await?;
                row.try_get(0)
            }

            async fn row(
                &mut self,
                namespace: &str,
                account: &str,
                origin: &str,
            ) -> Sql<Option<Row>> {
                let query = sqlx::query(ROW).bind(namespace).bind(account).bind(origin);
                let row = query.fetch_optional(self).await?;
                row.as_ref().map(row_of).transpose()
            }

            async fn put(&mut self, row: &Row) -> Sql<()> {
                let query = sqlx::query(PUT)
                    .bind(&row.namespace)
                    .bind(&row.account)
                    .bind(&row.origin);
                let query = query
                    .bind(row.revision)
                    .bind(row.until_at)
                    .bind(row.ended_at);
                query.bind(&row.json).execute(self).await.map(drop)
            }

            async fn note(&mut self, event: &Event) -> Sql<()> {
                let query = sqlx::query(NOTE)
                    .bind(event.revision)
                    .bind(&event.namespace);
                let query = query
                    .bind(&event.account)
                    .bind(event.at)
                    .bind(&event.action);
                let query = query.bind(&event.who).bind(&event.why).bind(&event.json);
                query.execute(self).await.map(drop)
            }

            async fn of_account(&mut self, namespace: &str, account: &str) -> Sql<Vec<Row>> {
                let query = sqlx::query(OF_ACCOUNT).bind(namespace).bind(account);
                query.fetch_all(self).await?.iter().map(row_of).collect()
            }

            async fn since(&mut self, namespace: &str, revision: i64, most: i64) -> Sql<Vec<Row>> {
                let query = sqlx::query(SINCE).bind(namespace).bind(revision).bind(most);
                query.fetch_all(self).await?.iter().map(row_of).collect()
            }

            async fn standing(&mut self, namespace: &str, most: i64) -> Sql<Vec<Row>> {
                let query = sqlx::query(STANDING).bind(namespace).bind(most);
                query.fetch_all(self).await?.iter().map(row_of).collect()
            }

            async fn count(&mut self, namespace: &str, most: i64) -> Sql<i64> {
                let query = sqlx::query(COUNT).bind(namespace).bind(most);
                query.fetch_one(self).await?.try_get(0)
            }

            async fn due(&mut self, now: i64, most: i64) -> Sql<Vec<Row>> {
                let query = sqlx::query(DUE).bind(now).bind(most);
                query.fetch_all(self).await?.iter().map(row_of).collect()
            }

            async fn history(
                &mut self,
                namespace: &str,
                account: &str,
                most: i64,
            ) -> Sql<Vec<Event>> {
                let query = sqlx::query(HISTORY)
                    .bind(namespace)
                    .bind(account)
                    .bind(most);
                query.fetch_all(self).await?.iter().map(event_of).collect()
            }

            async fn forget_ended(&mut self, before: i64) -> Sql<()> {
                sqlx::query(HORIZON)
                    .bind(before)
                    .execute(&mut *self)
                    .await?;
                sqlx::query(FORGET_ENDED)
                    .bind(before)
                    .execute(self)
                    .await
                    .map(drop)
            }

            async fn forget_history(&mut self, before: i64) -> Sql<u64> {
                let forgotten = sqlx::query(FORGET_HISTORY)
                    .bind(before)
                    .execute(self)
                    .await?;
                Ok(forgotten.rows_affected())
            }
        }

        fn revision_of(row: &$row) -> Sql<Revision> {
            Ok(Revision {
                revision: row.try_get(0)?,
                horizon: row.try_get(1)?,
            })
        }

        fn row_of(row: &$row) -> Sql<Row> {
            Ok(Row {
                namespace: row.try_get(0)?,
                account: row.try_get(1)?,
                origin: row.try_get(2)?,
                revision: row.try_get(3)?,
                until_at: row.try_get(4)?,
                ended_at: row.try_get(5)?,
                json: row.try_get(6)?,
            })
        }

        fn event_of(row: &$row) -> Sql<Event> {
            Ok(Event {
                revision: row.try_get(0)?,
                namespace: row.try_get(1)?,
                account: row.try_get(2)?,
                at: row.try_get(3)?,
                action: row.try_get(4)?,
                who: row.try_get(5)?,
                why: row.try_get(6)?,
                json: row.try_get(7)?,
            })
        }
    };
}

mod sqlite {
    use sqlx::Row as _;

    use super::*;

    tables!(sqlx::SqliteConnection, sqlx::sqlite::SqliteRow);
}

mod postgres {
    use sqlx::Row as _;

    use super::*;

    tables!(sqlx::PgConnection, sqlx::postgres::PgRow);
}
