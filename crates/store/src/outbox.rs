//! Messages on their way to channels: kept until they were told, however often the process ends.

use sekisho_policy::{Millis, Timestamp};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::records::number;
use crate::{Store, StoreError};

/// The most messages that wait. Beyond it new ones are not taken: an endpoint that is away must not fill a disk.
pub const MOST_WAITING: u32 = 10_000;

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
            let waiting: i64 = sqlx::query("SELECT count(*) FROM outbox WHERE done_at IS NULL")
                .fetch_one(&mut *transaction)
                .await?
                .try_get(0)?;
            if waiting >= i64::from(MOST_WAITING) {
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

    /// Up to `most` messages that are due, those that wait longest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn due_letters(&self, now: Timestamp, most: u32) -> Result<Vec<Letter>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, namespace, channel, created_at, attempts, body FROM outbox
             WHERE done_at IS NULL AND due_at <= ? ORDER BY due_at LIMIT ?",
        )
        .bind(number(now.0))
        .bind(most)
        .fetch_all(&self.reading)
        .await;
        let rows = rows.map_err(|error| self.failed(error))?;
        let read: Result<Vec<Letter>, sqlx::Error> = rows.iter().map(letter).collect();
        read.map_err(|error| self.unreadable("a message that waits", error))
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
