//! The tables' versions. A step that only adds leaves the version before it at work beside this one. One that changes what is there
//! (the fourth counts revisions by namespace, which cannot go on beside one count for all; the seventh packs records) says so in
//! `works_for`, and a version that is older refuses the tables from then on, by name.

use sqlx::{Row, Sqlite, SqliteConnection, Transaction};

use crate::steps::{Step, Steps};
use crate::{Store, StoreError};

/// "Seki" in the file's header says whose file it is.
const APPLICATION: i64 = 0x5365_6b69;

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

const STEPS: Steps = Steps {
    all: &[
        Step {
            version: 1,
            works_for: 1,
            sql: include_str!("../migrations/0001_ledger.sql"),
        },
        Step {
            version: 2,
            works_for: 1,
            sql: include_str!("../migrations/0002_accounts.sql"),
        },
        Step {
            version: 3,
            works_for: 1,
            sql: include_str!("../migrations/0003_outbox.sql"),
        },
        Step {
            version: 4,
            works_for: 4,
            sql: include_str!("../migrations/0004_namespaces.sql"),
        },
        Step {
            version: 5,
            works_for: 4,
            sql: include_str!("../migrations/0005_settings.sql"),
        },
        Step {
            version: 6,
            works_for: 4,
            sql: include_str!("../migrations/0006_outbox_by_channel.sql"),
        },
        // Who knows no packed records cannot read them.
        Step {
            version: 7,
            works_for: 7,
            sql: include_str!("../migrations/0007_packed.sql"),
        },
        Step {
            version: 8,
            works_for: 7,
            sql: include_str!("../migrations/0008_disowned.sql"),
        },
    ],
    table: "schema",
    name: "INSERT INTO account_store (one, identity, cautious, seen_at)
           VALUES (1, lower(hex(randomblob(16))), 0, 0) ON CONFLICT (one) DO NOTHING",
};

/// What the file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Schema {
    version: i64,
    works_for: i64,
}

/// Brings the tables to this version, in one transaction under the write lock.
pub(crate) async fn run(store: &Store) -> Result<(), StoreError> {
    let mut transaction = store.begin().await?;
    let found = read(store, &mut transaction).await?;
    apply(&mut transaction, found)
        .await
        .map_err(|error| store.failed(error))?;
    transaction
        .commit()
        .await
        .map_err(|error| store.failed(error))
}

/// Whether the file is empty or ours, and not too new.
pub(crate) async fn probe(store: &Store) -> Result<(), StoreError> {
    let mut seen = look(store).await?;
    read(store, &mut seen).await.map(drop)
}

/// Whether this version can read the tables as they are.
pub(crate) async fn check(store: &Store) -> Result<(), StoreError> {
    let mut seen = look(store).await?;
    match read(store, &mut seen).await? {
        Some(schema) if schema.version >= STEPS.known() => Ok(()),
        Some(schema) => Err(StoreError::OlderSchema {
            path: store.path.to_path_buf(),
            found: schema.version,
            needed: STEPS.known(),
        }),
        None => Err(StoreError::NotOurs {
            path: store.path.to_path_buf(),
        }),
    }
}

/// All that is read in it is of one moment, though another process may be making the tables right now.
async fn look(store: &Store) -> Result<Transaction<'static, Sqlite>, StoreError> {
    store
        .writing
        .begin()
        .await
        .map_err(|error| store.failed(error))
}

/// What the file says; `None` if it is empty.
async fn read(
    store: &Store,
    connection: &mut SqliteConnection,
) -> Result<Option<Schema>, StoreError> {
    let failed = |error| store.failed(error);
    let path = || store.path.to_path_buf();
    let application: i64 = number(connection, "PRAGMA application_id")
        .await
        .map_err(failed)?;
    let tables: i64 = number(connection, "SELECT count(*) FROM sqlite_schema")
        .await
        .map_err(failed)?;
    if tables == 0 {
        return Ok(None);
    }
    if application != APPLICATION {
        return Err(StoreError::NotOurs { path: path() });
    }
    let row = sqlx::query("SELECT version, works_for FROM schema")
        .fetch_one(connection)
        .await
        .map_err(failed)?;
    let schema = Schema {
        version: row.try_get(0).map_err(failed)?,
        works_for: row.try_get(1).map_err(failed)?,
    };
    if schema.works_for > STEPS.known() {
        return Err(StoreError::NewerSchema {
            path: path(),
            found: schema.version,
            known: STEPS.known(),
        });
    }
    Ok(Some(schema))
}

async fn apply(
    connection: &mut SqliteConnection,
    found: Option<Schema>,
) -> Result<(), sqlx::Error> {
    if found.is_none() {
        // "Seki", as above; a pragma takes no parameters.
        sqlx::raw_sql("PRAGMA application_id = 0x53656b69")
            .execute(&mut *connection)
            .await?;
        sqlx::raw_sql(STEPS.begin())
            .execute(&mut *connection)
            .await?;
    }
    for statement in STEPS.after(found.map_or(0, |schema| schema.version)) {
        sqlx::raw_sql(statement).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn number(connection: &mut SqliteConnection, sql: &'static str) -> Result<i64, sqlx::Error> {
    sqlx::query(sql).fetch_one(connection).await?.try_get(0)
}
