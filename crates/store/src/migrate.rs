//! The tables' versions. A step that only adds leaves the version before it at work beside this one. One that changes what is there
//! (the fourth counts revisions by namespace, which cannot go on beside one count for all) says so in `works_for`, and a version
//! that is older refuses the tables from then on, by name.

use sqlx::{Row, Sqlite, SqliteConnection, Transaction};

use crate::{Store, StoreError};

/// "Seki" in the file's header says whose file it is.
const APPLICATION: i64 = 0x5365_6b69;

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// One step. It never changes once it was released.
struct Migration {
    version: i64,
    /// The oldest version of this list whose code can still work on the result: itself for a contraction, earlier for an expansion.
    works_for: i64,
    sql: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        works_for: 1,
        sql: include_str!("../migrations/0001_ledger.sql"),
    },
    Migration {
        version: 2,
        works_for: 1,
        sql: include_str!("../migrations/0002_accounts.sql"),
    },
    Migration {
        version: 3,
        works_for: 1,
        sql: include_str!("../migrations/0003_outbox.sql"),
    },
    Migration {
        version: 4,
        works_for: 4,
        sql: include_str!("../migrations/0004_namespaces.sql"),
    },
    Migration {
        version: 5,
        works_for: 4,
        sql: include_str!("../migrations/0005_settings.sql"),
    },
    Migration {
        version: 6,
        works_for: 4,
        sql: include_str!("../migrations/0006_outbox_by_channel.sql"),
    },
    // Who knows no packed records cannot read them.
    Migration {
        version: 7,
        works_for: 7,
        sql: include_str!("../migrations/0007_packed.sql"),
    },
];

/// What the store of account states is called, if it has no name yet.
const NAME: &str = "
    INSERT INTO account_store (one, identity, cautious, seen_at) VALUES (1, lower(hex(randomblob(16))), 0, 0)
    ON CONFLICT (one) DO NOTHING";

/// What the file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Schema {
    version: i64,
    works_for: i64,
}

const fn known() -> i64 {
    MIGRATIONS[MIGRATIONS.len() - 1].version
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
        Some(schema) if schema.version >= known() => Ok(()),
        Some(schema) => Err(StoreError::OlderSchema {
            path: store.path.to_path_buf(),
            found: schema.version,
            needed: known(),
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
    if schema.works_for > known() {
        return Err(StoreError::NewerSchema {
            path: path(),
            found: schema.version,
            known: known(),
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
        let schema = "CREATE TABLE schema (version INTEGER NOT NULL, works_for INTEGER NOT NULL);
                      INSERT INTO schema VALUES (0, 0)";
        sqlx::raw_sql(schema).execute(&mut *connection).await?;
    }
    let from = found.map_or(0, |schema| schema.version);
    for migration in MIGRATIONS
        .iter()
        .filter(|migration| migration.version > from)
    {
        sqlx::raw_sql(migration.sql)
            .execute(&mut *connection)
            .await?;
        sqlx::query("UPDATE schema SET version = ?1, works_for = ?2")
            .bind(migration.version)
            .bind(migration.works_for)
            .execute(&mut *connection)
            .await?;
    }
    if from < known() {
        sqlx::query(NAME).execute(connection).await?;
    }
    Ok(())
}

async fn number(connection: &mut SqliteConnection, sql: &'static str) -> Result<i64, sqlx::Error> {
    sqlx::query(sql).fetch_one(connection).await?.try_get(0)
}
