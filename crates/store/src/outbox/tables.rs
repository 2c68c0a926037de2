//! The statements on the outbox, run by the driver itself. Both databases take the same text.

/// One row of `outbox` that waits.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(super) id: String,
    pub(super) namespace: String,
    pub(super) channel: String,
    pub(super) created_at: i64,
    pub(super) attempts: i64,
    pub(super) body: String,
}

pub(crate) type Sql<T> = Result<T, sqlx::Error>;

/// A connection to a database that has the table. A channel is a namespace and a name.
pub(crate) trait Tables: Send {
    /// How much waits of a namespace, by channel.
    fn waiting(&mut self, namespace: &str) -> impl Future<Output = Sql<Vec<(String, i64)>>> + Send;
    /// Whether the message was not there, waiting or told.
    fn post(&mut self, row: &Row) -> impl Future<Output = Sql<bool>> + Send;
    fn due_channels(
        &mut self,
        now: i64,
        never: i64,
    ) -> impl Future<Output = Sql<Vec<(String, String)>>> + Send;
    fn due_letters(
        &mut self,
        channel: (&str, &str),
        now: i64,
        never: i64,
        most: i64,
    ) -> impl Future<Output = Sql<Vec<Row>>> + Send;
    fn give_up(
        &mut self,
        channel: (&str, &str),
        before: i64,
        now: i64,
    ) -> impl Future<Output = Sql<u64>> + Send;
    fn put_off(
        &mut self,
        channel: (&str, &str),
        never: i64,
        until: i64,
    ) -> impl Future<Output = Sql<()>> + Send;
    /// Notes that a message was told.
    fn finish(&mut self, id: &str, now: i64) -> impl Future<Output = Sql<()>> + Send;
    /// Forgets those that were told or given up before a time.
    fn forget(&mut self, before: i64) -> impl Future<Output = Sql<()>> + Send;
}

const WAITING: &str = "
    SELECT channel, count(*) FROM outbox WHERE namespace = $1 AND done_at IS NULL GROUP BY channel";
const POST: &str = "
    INSERT INTO outbox (id, namespace, channel, created_at, due_at, attempts, body)
    VALUES ($1, $2, $3, $4, $4, $5, $6) ON CONFLICT (id) DO NOTHING";
const DUE_CHANNELS: &str = "
    SELECT namespace, channel FROM outbox WHERE done_at IS NULL AND (due_at <= $1 OR due_at > $2)
    GROUP BY namespace, channel ORDER BY min(due_at)";
const DUE_LETTERS: &str = "
    SELECT id, namespace, channel, created_at, attempts, body FROM outbox
    WHERE done_at IS NULL AND namespace = $1 AND channel = $2 AND (due_at <= $3 OR due_at > $4)
    ORDER BY due_at, created_at LIMIT $5";
const GIVE_UP: &str = "
    UPDATE outbox SET done_at = $4, body = ''
    WHERE done_at IS NULL AND namespace = $1 AND channel = $2 AND created_at <= $3";
const PUT_OFF: &str = "
    UPDATE outbox SET attempts = attempts + 1, due_at = $4
    WHERE done_at IS NULL AND namespace = $1 AND channel = $2 AND (due_at < $4 OR due_at > $3)";
const FINISH: &str = "UPDATE outbox SET done_at = $2, body = '' WHERE id = $1 AND done_at IS NULL";
const FORGET: &str = "DELETE FROM outbox WHERE done_at < $1";

/// The same for each driver: their types have nothing in common that could be written once.
macro_rules! tables {
    ($connection:ty, $row:ty) => {
        impl Tables for $connection {
            async fn waiting(&mut self, namespace: &str) -> Sql<Vec<(String, i64)>> {
                let rows = sqlx::query(WAITING).bind(namespace).fetch_all(self).await?;
                let counted = |row: &$row| Ok((row.try_get(0)?, row.try_get(1)?));
                rows.iter().map(counted).collect()
            }

            async fn post(&mut self, row: &Row) -> Sql<bool> {
                let query = sqlx::query(POST).bind(&row.id).bind(&row.namespace);
                let query = query.bind(&row.channel).bind(row.created_at);
                let query = query.bind(row.attempts).bind(&row.body);
                Ok(query.execute(self).await?.rows_affected() > 0)
            }

            async fn due_channels(&mut self, now: i64, never: i64) -> Sql<Vec<(String, String)>> {
                let query = sqlx::query(DUE_CHANNELS).bind(now).bind(never);
                let rows = query.fetch_all(self).await?;
                let name = |row: &$row| Ok((row.try_get(0)?, row.try_get(1)?));
                rows.iter().map(name).collect()
            }

            async fn due_letters(
                &mut self,
                (namespace, channel): (&str, &str),
                now: i64,
                never: i64,
                most: i64,
            ) -> Sql<Vec<Row>> {
                let query = sqlx::query(DUE_LETTERS).bind(namespace).bind(channel);
                let query = query.bind(now).bind(never).bind(most);
                query.fetch_all(self).await?.iter().map(row_of).collect()
            }

            async fn give_up(
                &mut self,
                (namespace, channel): (&str, &str),
                before: i64,
                now: i64,
            ) -> Sql<u64> {
                let query = sqlx::query(GIVE_UP).bind(namespace).bind(channel);
                let given_up = query.bind(before).bind(now).execute(self).await?;
                Ok(given_up.rows_affected())
            }

            async fn put_off(
                &mut self,
                (namespace, channel): (&str, &str),
                never: i64,
                until: i64,
            ) -> Sql<()> {
                let query = sqlx::query(PUT_OFF).bind(namespace).bind(channel);
                query.bind(never).bind(until).execute(self).await.map(drop)
            }

            async fn finish(&mut self, id: &str, now: i64) -> Sql<()> {
                let query = sqlx::query(FINISH).bind(id).bind(now);
                query.execute(self).await.map(drop)
            }

            async fn forget(&mut self, before: i64) -> Sql<()> {
                let query = sqlx::query(FORGET).bind(before);
                query.execute(self).await.map(drop)
            }
        }

        fn row_of(row: &$row) -> Sql<Row> {
            Ok(Row {
                id: row.try_get(0)?,
                namespace: row.try_get(1)?,
                channel: row.try_get(2)?,
                created_at: row.try_get(3)?,
                attempts: row.try_get(4)?,
                body: row.try_get(5)?,
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
