//! The tables of accounts in PostgreSQL: how it is reached, and brought to this version's schema.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgConnection, PgPool, Postgres, Row as _, Transaction};
use tokio::sync::OnceCell;

use crate::StoreError;

const CONNECTIONS: u32 = 8;
/// How long a connection is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// "Seki", so that nobody else's lock is taken for ours.
const LOCK: i64 = 0x5365_6b69;

/// One step. It never changes once it was released.
struct Migration {
    version: i64,
    /// The oldest version whose code can still work on the result.
    works_for: i64,
    sql: &'static str,
}

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    works_for: 1,
    sql: include_str!("../../migrations/0002_accounts.sql"),
}];

const fn known() -> i64 {
    MIGRATIONS[MIGRATIONS.len() - 1].version
}

/// A database that is connected to when it is first needed, and again whenever it was away.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// Where it is, without the password.
    place: Arc<PathBuf>,
    pool: PgPool,
    /// Its tables are those of this version.
    ready: Arc<OnceCell<()>>,
}

impl Server {
    /// Reads an address like `postgresql://user:password@host/name`.
    ///
    /// # Errors
    /// It is none. The message does not repeat it, as there is a password in it.
    pub(super) fn at(address: &str) -> Result<Self, StoreError> {
        let address = address.trim();
        let is_ours = ["postgresql://", "postgres://"]
            .iter()
            .any(|scheme| address.starts_with(scheme));
        let options = PgConnectOptions::from_str(address).ok();
        let options = options
            .filter(|_| is_ours)
            .ok_or_else(|| StoreError::CannotOpen {
                path: PathBuf::from("postgresql://"),
                why: "its address is not written as postgresql://user:password@host/name"
                    .to_owned(),
            })?;
        let place = format!(
            "postgresql://{}:{}/{}",
            options.get_host(),
            options.get_port(),
            options.get_database().unwrap_or_default()
        );
        let options = options.application_name("sekisho").options([
            ("statement_timeout", "10s"),
            ("lock_timeout", "5s"),
            ("idle_in_transaction_session_timeout", "30s"),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(options);
        Ok(Self {
            place: Arc::new(place.into()),
            pool,
            ready: Arc::default(),
        })
    }

    /// Begins a transaction on tables of this version.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.ready.get_or_try_init(|| self.migrate()).await?;
        let begun = self.pool.begin().await;
        begun.map_err(|error| self.failed(error))
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    /// Brings the tables to this version, in one transaction under a lock: replicas that start together do it once.
    async fn migrate(&self) -> Result<(), StoreError> {
        let failed = |error| self.failed(error);
        let mut transaction = self.pool.begin().await.map_err(failed)?;
        let found = prepare(&mut transaction).await.map_err(failed)?;
        let (version, works_for) = found;
        if works_for > known() {
            return Err(StoreError::NewerSchema {
                path: self.place.to_path_buf(),
                found: version,
                known: known(),
            });
        }
        apply(&mut transaction, version).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    pub(super) fn failed(&self, error: sqlx::Error) -> StoreError {
        StoreError::from_postgres(&self.place, error)
    }

    pub(super) fn unreadable(&self, what: String, why: String) -> StoreError {
        let path = self.place.to_path_buf();
        StoreError::Unreadable { path, what, why }
    }
}

/// Takes the lock, and says of which version the tables are: zero where there are none.
async fn prepare(connection: &mut PgConnection) -> Result<(i64, i64), sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(&mut *connection)
        .await?;
    let there: bool = sqlx::query("SELECT to_regclass('sekisho_schema') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?
        .try_get(0)?;
    if !there {
        let schema =
            "CREATE TABLE sekisho_schema (version BIGINT NOT NULL, works_for BIGINT NOT NULL);
                      INSERT INTO sekisho_schema VALUES (0, 0)";
        sqlx::raw_sql(schema).execute(&mut *connection).await?;
        return Ok((0, 0));
    }
    let row = sqlx::query("SELECT version, works_for FROM sekisho_schema")
        .fetch_one(connection)
        .await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

async fn apply(connection: &mut PgConnection, from: i64) -> Result<(), sqlx::Error> {
    for migration in MIGRATIONS
        .iter()
        .filter(|migration| migration.version > from)
    {
        sqlx::raw_sql(migration.sql)
            .execute(&mut *connection)
            .await?;
        sqlx::query("UPDATE sekisho_schema SET version = $1, works_for = $2")
            .bind(migration.version)
            .bind(migration.works_for)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
