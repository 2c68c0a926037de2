//! The tables of accounts in PostgreSQL: how it is reached, and brought to this version's schema.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgConnection, PgPool, Postgres, Row as _, Transaction};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};

use crate::StoreError;
use crate::steps::{Step, Steps};

/// More than the server of the fleet uses at once, so that people and housekeeping find one.
const CONNECTIONS: u32 = 16;
/// How long a connection is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long an answer is: more than the server gives itself for a statement, and for a lock.
const ANSWERS_WITHIN: Duration = Duration::from_secs(12);
/// How long the steps that bring the tables to this version may take.
const MIGRATES_WITHIN: Duration = Duration::from_secs(600);
/// One that did not answer is not asked again for so long: whoever needs it would wait in line, and hear the same.
const REST: Duration = Duration::from_secs(1);
/// "Seki", so that nobody else's lock is taken for ours.
const LOCK: i64 = 0x5365_6b69;

const STEPS: Steps = Steps {
    all: &[
        Step {
            version: 1,
            works_for: 1,
            sql: include_str!("../../migrations/0002_accounts.sql"),
        },
        // Revisions of each namespace and one for all cannot go on beside each other.
        Step {
            version: 2,
            works_for: 2,
            sql: include_str!("../../migrations/0004_namespaces.sql"),
        },
        Step {
            version: 3,
            works_for: 2,
            sql: include_str!("../../migrations/0005_settings.sql"),
        },
        Step {
            version: 4,
            works_for: 2,
            sql: include_str!("../../migrations/0006_outbox_in_postgres.sql"),
        },
        Step {
            version: 5,
            works_for: 2,
            sql: include_str!("../../migrations/0008_disowned.sql"),
        },
    ],
    table: "sekisho_schema",
    name:
        "INSERT INTO account_store (one, identity, cautious, seen_at)
           VALUES (1, replace(gen_random_uuid()::text, '-', ''), 0, 0) ON CONFLICT (one) DO NOTHING",
};

/// A database that is connected to when it is first needed, and again whenever it was away.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// Where it is, without the password.
    place: Arc<PathBuf>,
    pool: PgPool,
    /// Its tables are those of this version.
    ready: Arc<OnceCell<()>>,
    /// When it did not answer.
    silent: Arc<Mutex<Option<Instant>>>,
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
            ("statement_timeout", "8s"),
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
            silent: Arc::default(),
        })
    }

    /// Does what is asked of the server; `None` if it fell silent meanwhile.
    pub(crate) async fn within<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        timeout(ANSWERS_WITHIN, work).await.ok()
    }

    /// Nobody else is to wait for a server that is silent on this connection. What was under way was done there as a whole or not at
    /// all.
    pub(crate) fn hang_up(&self, connection: &mut PoolConnection<Postgres>) -> StoreError {
        connection.close_on_drop();
        self.fell_silent()
    }

    fn fell_silent(&self) -> StoreError {
        self.failed(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))
    }

    /// A connection to tables of this version.
    pub(crate) async fn acquire(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        self.prepare().await?;
        let acquired = self.pool.acquire().await;
        acquired.map_err(|error| self.failed(error))
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        let silent = *self.silent();
        if silent.is_some_and(|since| since.elapsed() < REST) {
            return Err(StoreError::Unreachable {
                path: self.place.to_path_buf(),
                why: "it did not a moment ago".to_owned(),
            });
        }
        let ready = self.ready.get_or_try_init(|| self.migrate()).await;
        ready.map(drop)
    }

    fn silent(&self) -> MutexGuard<'_, Option<Instant>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    /// Brings the tables to this version, in one transaction under a lock: replicas that start together do it once. A step may copy a
    /// whole audit trail, so it has the time that it takes; locks are waited for no longer than ever.
    async fn migrate(&self) -> Result<(), StoreError> {
        let failed = |error| self.failed(error);
        let found = timeout(ANSWERS_WITHIN, self.look_at_tables()).await;
        let (mut transaction, version) = found.unwrap_or_else(|_| Err(self.fell_silent()))?;
        let steps = async {
            for statement in STEPS.after(version) {
                let doing = sqlx::raw_sql(statement).execute(&mut *transaction);
                doing.await.map_err(failed)?;
            }
            transaction.commit().await.map_err(failed)
        };
        let done = timeout(MIGRATES_WITHIN, steps).await;
        done.unwrap_or_else(|_| Err(self.fell_silent()))
    }

    /// A transaction that holds the lock, and of which version the tables are.
    async fn look_at_tables(&self) -> Result<(Transaction<'static, Postgres>, i64), StoreError> {
        let failed = |error| self.failed(error);
        let mut transaction = self.pool.begin().await.map_err(failed)?;
        let unhurried = sqlx::raw_sql("SET LOCAL statement_timeout = 0");
        unhurried.execute(&mut *transaction).await.map_err(failed)?;
        let found = prepare(&mut transaction).await.map_err(failed)?;
        let (version, works_for) = found;
        if works_for > STEPS.known() {
            return Err(StoreError::NewerSchema {
                path: self.place.to_path_buf(),
                found: version,
                known: STEPS.known(),
            });
        }
        Ok((transaction, version))
    }

    pub(crate) fn failed(&self, error: sqlx::Error) -> StoreError {
        let error = StoreError::from_postgres(&self.place, error);
        if matches!(error, StoreError::Unreachable { .. }) {
            *self.silent() = Some(Instant::now());
        }
        error
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
        sqlx::raw_sql(STEPS.begin())
            .execute(&mut *connection)
            .await?;
        return Ok((0, 0));
    }
    let row = sqlx::query("SELECT version, works_for FROM sekisho_schema")
        .fetch_one(connection)
        .await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}
