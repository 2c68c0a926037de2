//! Messages on their way to channels: kept until they were told, however often the process ends.

use sekisho_policy::{Millis, Timestamp};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::records::number;
use crate::{Store, StoreError};

/// The most messages that wait. Beyond it new ones are not taken: an endpoint that is away must not fill a disk.
const MOST_WAITING: u32 = 10_000;
/// And so many of one channel, so that one that is away leaves room for others.
pub const MOST_OF_CHANNEL: u32 = 2_000;
/// No message is put off for longer. One that is due later was put off by a clock that was wrong, and is due now.
const LONGEST_REST: u64 = 2 * 60 * 60 * 1000;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Names it: a receiver that has seen it does nothing. At most 128 characters.
    pub id: String,
    /// Whose channel.
    pub namespace: String,
    /// Which channel.
    pub channel: String,
    /// Since when it waits.
    pub created: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// What is told.
    pub body: String,
}

/// Whether a message was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It waits now.
    Waits,
    /// It is there already, or was told before.
    Known,
    /// Too many wait.
    Full,
}

impl Store {
    /// Takes a message, once however often it comes.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    pub async fn post(&self, letter: &Letter) -> Result<Taken, StoreError> {
        let mut transaction = self.begin().await?;
        let posted = async {
            let known = sqlx::query("SELECT 1 FROM outbox WHERE id = ?")
                .bind(&letter.id)
                .fetch_optional(&mut *transaction)
                .await?;
            if known.is_some() {
                return Ok(Taken::Known);
            }
            let counts = sqlx::query(
                "SELECT count(*), count(*) FILTER (WHERE namespace = ? AND channel = ?) FROM outbox WHERE done_at IS NULL",
            )
            .bind(&letter.namespace)
            .bind(&letter.channel)
            .fetch_one(&mut *transaction)
            .await?;
            let (waiting, of_channel): (i64, i64) = (counts.try_get(0)?, counts.try_get(1)?);
            if waiting >= i64::from(MOST_WAITING) || of_channel >= i64::from(MOST_OF_CHANNEL) {
                return Ok(Taken::Full);
            }
            sqlx::query(
                "INSERT INTO outbox (id, namespace, channel, created_at, due_at, attempts, body) VALUES (?, ?, ?, ?, ?, 0, ?)",
            )
            .bind(&letter.id)
            .bind(&letter.namespace)
            .bind(&letter.channel)
            .bind(number(letter.created.0))
            .bind(number(letter.created.0))
            .bind(&letter.body)
            .execute(&mut *transaction)
            .await?;
            Ok(Taken::Waits)
        };
        let taken = posted.await.map_err(|error| self.failed(error))?;
        let committed = transaction.commit().await;
        committed.map_err(|error| self.failed(error))?;
        Ok(taken)
    }

    /// The channels, as namespace and name, that a message is due for: those first that one has been due for longest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn due_channels(&self, now: Timestamp) -> Result<Vec<(String, String)>, StoreError> {
        let rows = sqlx::query(
            "SELECT namespace, channel FROM outbox WHERE done_at IS NULL AND (due_at <= ?1 OR due_at > ?2)
             GROUP BY namespace, channel ORDER BY min(due_at)",
        )
        .bind(number(now.0))
        .bind(number(now.0.saturating_add(LONGEST_REST)))
        .fetch_all(&self.reading)
        .await;
        let rows = rows.map_err(|error| self.failed(error))?;
        let read: Result<_, sqlx::Error> = rows
            .iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect();
        read.map_err(|error| self.unreadable("a message that waits", error))
    }

    /// Up to `most` messages of a channel that are due, those that wait longest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn due_letters(
        &self,
        namespace: &str,
        channel: &str,
        now: Timestamp,
        most: u32,
    ) -> Result<Vec<Letter>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, namespace, channel, created_at, attempts, body FROM outbox
             WHERE done_at IS NULL AND namespace = ?1 AND channel = ?2 AND (due_at <= ?3 OR due_at > ?4)
             ORDER BY due_at, created_at LIMIT ?5",
        )
        .bind(namespace)
        .bind(channel)
        .bind(number(now.0))
        .bind(number(now.0.saturating_add(LONGEST_REST)))
        .bind(most)
        .fetch_all(&self.reading)
        .await;
        let rows = rows.map_err(|error| self.failed(error))?;
        let read: Result<Vec<Letter>, sqlx::Error> = rows.iter().map(letter).collect();
        read.map_err(|error| self.unreadable("a message that waits", error))
    }

    /// Gives up what waits for a channel since before `before`; how many messages that were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn give_up_letters(
        &self,
        namespace: &str,
        channel: &str,
        before: Timestamp,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut transaction = self.begin().await?;
        let sql = "UPDATE outbox SET done_at = ?, body = ''
                   WHERE done_at IS NULL AND namespace = ? AND channel = ? AND created_at <= ?";
        let query = sqlx::query(sql)
            .bind(number(now.0))
            .bind(namespace)
            .bind(channel)
            .bind(number(before.0));
        let given_up = query.execute(&mut *transaction).await;
        let given_up = given_up.map_err(|error| self.failed(error))?;
        let committed = transaction.commit().await;
        committed.map_err(|error| self.failed(error))?;
        Ok(given_up.rows_affected())
    }

    /// A message was not told; it is tried again at `due`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_off_letter(&self, id: &str, due: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let sql = "UPDATE outbox SET attempts = attempts + 1, due_at = ? WHERE id = ? AND done_at IS NULL";
        let query = sqlx::query(sql).bind(number(due.0)).bind(id);
        let done = query.execute(&mut *transaction).await;
        done.map_err(|error| self.failed(error))?;
        let committed = transaction.commit().await;
        committed.map_err(|error| self.failed(error))
    }

    /// A message was told, or is given up. What it said is forgotten, that it was is kept for `keep`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish_letter(
        &self,
        id: &str,
        now: Timestamp,
        keep: Millis,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let finished = async {
            sqlx::query("UPDATE outbox SET done_at = ?, body = '' WHERE id = ?")
                .bind(number(now.0))
                .bind(id)
                .execute(&mut *transaction)
                .await?;
            sqlx::query("DELETE FROM outbox WHERE done_at < ?")
                .bind(number(now.0.saturating_sub(keep.0)))
                .execute(&mut *transaction)
                .await
        };
        finished.await.map_err(|error| self.failed(error))?;
        let committed = transaction.commit().await;
        committed.map_err(|error| self.failed(error))
    }
}

fn letter(row: &SqliteRow) -> Result<Letter, sqlx::Error> {
    let attempts: i64 = row.try_get("attempts")?;
    let created: i64 = row.try_get("created_at")?;
    Ok(Letter {
        id: row.try_get("id")?,
        namespace: row.try_get("namespace")?,
        channel: row.try_get("channel")?,
        created: Timestamp(created.unsigned_abs()),
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        body: row.try_get("body")?,
    })
}
