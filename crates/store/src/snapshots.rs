//! The configurations that records were made under, kept as long as a record needs them for a replay.

use std::collections::BTreeMap;

use sekisho_policy::{Envelope, Record, Timestamp};
use sqlx::{Row, SqliteConnection};

use crate::records::number;
use crate::{Store, StoreError};

impl Store {
    /// Keeps a snapshot. Putting the same one again only notes that it was seen.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_snapshot(
        &self,
        envelope: &Envelope,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const PUT: &str = "
            INSERT INTO snapshots (digest, gateway, generation, first_seen, last_seen, json) VALUES (?1, ?2, ?3, ?4, ?4, ?5)
            ON CONFLICT (digest) DO UPDATE SET
                last_seen = max(last_seen, excluded.last_seen), json = coalesce(json, excluded.json)";
        let json = serde_json::to_string(envelope).map_err(|error| StoreError::Unwritable {
            what: format!("the snapshot {}", envelope.digest),
            why: error.to_string(),
        })?;
        let put = sqlx::query(PUT)
            .bind(&envelope.digest)
            .bind(envelope.snapshot.gateway.object.to_string())
            .bind(number(envelope.generation))
            .bind(number(now.0))
            .bind(json);
        put.execute(&self.writing)
            .await
            .map_err(|error| self.failed(error))?;
        Ok(())
    }

    /// The snapshot with this digest, in the generation in which it was first put.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn snapshot(&self, digest: &str) -> Result<Option<Envelope>, StoreError> {
        let row = sqlx::query("SELECT json FROM snapshots WHERE digest = ?1 AND json IS NOT NULL")
            .bind(digest)
            .fetch_optional(&self.reading)
            .await
            .map_err(|error| self.failed(error))?;
        let Some(row) = row else { return Ok(None) };
        let json: &str = row.try_get(0).map_err(|error| self.failed(error))?;
        serde_json::from_str(json)
            .map(Some)
            .map_err(|error| self.unreadable(format!("the snapshot {digest}"), error))
    }
}

/// The rows of the digests in one batch, each looked up once.
#[derive(Default)]
pub(crate) struct Digests<'a> {
    known: BTreeMap<&'a str, i64>,
}

impl<'a> Digests<'a> {
    /// The row of the record's snapshot. If the snapshot itself has not been put yet, it gets a row to be filled.
    pub(crate) async fn id_of(
        &mut self,
        connection: &mut SqliteConnection,
        record: &'a Record,
    ) -> Result<i64, sqlx::Error> {
        const SEE: &str = "
            INSERT INTO snapshots (digest, gateway, generation, first_seen, last_seen) VALUES (?1, ?2, ?3, ?4, ?4)
            ON CONFLICT (digest) DO UPDATE SET last_seen = max(last_seen, excluded.last_seen) RETURNING id";
        if let Some(&id) = self.known.get(&*record.digest) {
            return Ok(id);
        }
        let row = sqlx::query(SEE)
            .bind(&*record.digest)
            .bind(record.gateway.to_string())
            .bind(number(record.generation))
            .bind(number(record.at.0))
            .fetch_one(connection)
            .await?;
        let id = row.try_get(0)?;
        self.known.insert(&record.digest, id);
        Ok(id)
    }
}
