//! Account states: what accounts may not do now, what changed since a revision, and the audit trail. In the file of the ledger
//! for one process, in PostgreSQL for a fleet; what is done is written once, over the few statements of [`tables::Tables`].

mod change;
mod history;
mod impose;
mod postgres;
mod read;
mod statements;
mod tables;
mod tend;

use sekisho_policy::states::{Extent, Release};
use sekisho_policy::{Restriction, Span, Timestamp};
use tokio::sync::watch;

use crate::news::News;
use crate::outbox::Outbox;
use crate::{SettingsStore, Store, StoreError};
pub use change::{Imposed, ReleaseFrom, Released};
pub use history::{AccountAction, HistoryEntry};
use tables::{Mark, Tables};
pub use tend::Tending;

/// The most restrictions by rules that stand in one namespace; beyond it proxies' impositions are not taken. What people say has room
/// beside them.
pub const MOST_STANDING: u32 = 250_000;
/// The most lines of one account's history that one question is answered with.
pub const MOST_HISTORY: u32 = 1_000;

/// Account states. Cloning shares them.
#[derive(Clone, Debug)]
pub struct AccountStates {
    backend: Backend,
    settings: SettingsStore,
    outbox: Outbox,
    news: News,
}

#[derive(Clone, Debug)]
pub(crate) enum Backend {
    Sqlite(Store),
    Postgres(postgres::Server),
}

/// Runs `$work` with `$tables` in one transaction of whichever database it is.
macro_rules! in_transaction {
    ($states:expr, $tables:ident => $work:expr) => {
        match &$states.backend {
            Backend::Sqlite(store) => {
                let mut transaction = store.begin().await?;
                let done = {
                    let $tables = &mut *transaction;
                    $work
                };
                let done = done.map_err(|error| $states.failed(error))?;
                let committed = transaction.commit().await;
                committed.map_err(|error| store.failed(error))?;
                done
            }
            Backend::Postgres(server) => {
                let mut connection = server.acquire().await?;
                let work = async {
                    let mut transaction = sqlx::Acquire::begin(&mut *connection).await?;
                    let $tables = &mut *transaction;
                    let done = $work?;
                    transaction.commit().await?;
                    Ok::<_, $crate::states::Fault>(done)
                };
                let Some(done) = server.within(work).await else {
                    return Err(server.hang_up(&mut connection));
                };
                done.map_err(|error| $states.failed(error))?
            }
        }
    };
}

/// Runs `$work` with `$tables` on a connection that only reads.
macro_rules! reading {
    ($states:expr, $tables:ident => $work:expr) => {
        match &$states.backend {
            Backend::Sqlite(store) => {
                let acquired = store.reading.acquire().await;
                let mut connection = acquired.map_err(|error| store.failed(error))?;
                let $tables = &mut *connection;
                $work.map_err(|error| $states.failed(error))?
            }
            Backend::Postgres(server) => {
                let mut connection = server.acquire().await?;
                let work = async {
                    let $tables = &mut *connection;
                    $work
                };
                let Some(done) = server.within(work).await else {
                    return Err(server.hang_up(&mut connection));
                };
                done.map_err(|error| $states.failed(error))?
            }
        }
    };
}
pub(crate) use {in_transaction, reading};

/// What can go wrong beneath the surface: the database, or what it holds.
#[derive(Debug)]
pub(crate) enum Fault {
    Sql(sqlx::Error),
    Unreadable { what: String, why: String },
    Unwritable { what: String, why: String },
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl AccountStates {
    /// Those in the file of the ledger.
    #[must_use]
    pub fn in_ledger(store: &Store) -> Self {
        let backend = Backend::Sqlite(store.clone());
        Self {
            settings: SettingsStore::of(backend.clone()),
            outbox: Outbox::of(backend.clone()),
            backend,
            news: News::default(),
        }
    }

    /// Those in a PostgreSQL database, for all replicas of a control plane. It is connected to when it is first needed.
    ///
    /// # Errors
    /// The address is none.
    pub fn in_postgres(address: &str) -> Result<Self, StoreError> {
        let backend = Backend::Postgres(postgres::Server::at(address)?);
        Ok(Self {
            settings: SettingsStore::of(backend.clone()),
            outbox: Outbox::of(backend.clone()),
            backend,
            news: News::default(),
        })
    }

    /// What accounts have set, in the same database.
    #[must_use]
    pub const fn settings(&self) -> &SettingsStore {
        &self.settings
    }

    /// Messages about what was imposed, in the same database.
    #[must_use]
    pub const fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Closes what is not the ledger's.
    pub async fn close(&self) {
        if let Backend::Postgres(server) = &self.backend {
            server.close().await;
        }
    }

    /// Tells of each change in a namespace that this process made or heard of; the number is the newest revision.
    #[must_use]
    pub fn changes(&self, namespace: &str) -> watch::Receiver<u64> {
        self.news.of(namespace)
    }

    /// Looks whether another process changed something, and tells of it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn look(&self) -> Result<(), StoreError> {
        let places = reading!(self, tables => tables.places().await.map_err(Fault::from));
        for (namespace, revision) in places {
            self.note(&namespace, revision);
        }
        Ok(())
    }

    fn note(&self, namespace: &str, revision: i64) -> u64 {
        let revision = revision.unsigned_abs();
        self.news.tell(namespace, |newest| {
            let is_news = *newest < revision;
            *newest = revision.max(*newest);
            is_news
        });
        revision
    }

    fn failed(&self, fault: Fault) -> StoreError {
        self.backend.failed(fault)
    }
}

impl Backend {
    pub(crate) fn failed(&self, fault: Fault) -> StoreError {
        match (fault, self) {
            (Fault::Sql(error), Backend::Sqlite(store)) => store.failed(error),
            (Fault::Sql(error), Backend::Postgres(server)) => server.failed(error),
            (Fault::Unreadable { what, why }, Backend::Sqlite(store)) => {
                store.unreadable(what, why)
            }
            (Fault::Unreadable { what, why }, Backend::Postgres(server)) => {
                server.unreadable(what, why)
            }
            (Fault::Unwritable { what, why }, _) => StoreError::Unwritable { what, why },
        }
    }
}

fn parse(account: &str, json: &str) -> Result<Restriction, Fault> {
    serde_json::from_str(json).map_err(|error| Fault::Unreadable {
        what: format!("a restriction of {account}"),
        why: error.to_string(),
    })
}

fn to_json(restriction: &Restriction) -> Result<String, Fault> {
    serde_json::to_string(restriction).map_err(|error| Fault::Unwritable {
        what: "a restriction".to_owned(),
        why: error.to_string(),
    })
}

fn release_of(mark: &Mark) -> Release {
    // By a clock that was ahead it ended later than the account was released.
    let disowned = mark.disowned.map(|(from, to)| Span {
        from: timestamp(from),
        to: timestamp(to.min(mark.at)),
    });
    Release {
        disowned: disowned.filter(|span| span.from <= span.to),
        at: timestamp(mark.at),
        revision: mark.revision.unsigned_abs(),
        extent: if mark.origin.is_empty() {
            Extent::Account
        } else {
            Extent::Origin
        },
    }
}

pub(crate) fn timestamp(number: i64) -> Timestamp {
    Timestamp(number.unsigned_abs())
}
