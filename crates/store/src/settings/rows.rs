//! Rows of the tables of settings. Their fields are called as the columns are.

use sqlx::FromRow;

/// Where a namespace is. `horizon`: up to here what was reset may have been forgotten.
#[derive(Clone, Copy, Debug, FromRow)]
pub(super) struct Revision {
    pub(super) revision: i64,
    pub(super) horizon: i64,
    pub(super) accounts: i64,
}

/// A namespace in which nothing was ever set: as its row begins, since whoever asks for zero wants all there is.
pub(super) const NOTHING: Revision = Revision {
    revision: 1,
    horizon: 0,
    accounts: 0,
};

/// One row of `account_settings`, without its namespace.
#[derive(Clone, Debug, FromRow)]
pub(super) struct Row {
    pub(super) account: String,
    pub(super) revision: i64,
    pub(super) own: i64,
    pub(super) reset_at: Option<i64>,
    pub(super) json: String,
}

/// One row of `settings_history`, without its namespace.
#[derive(Clone, Debug, FromRow)]
pub(super) struct Event {
    pub(super) revision: i64,
    pub(super) account: String,
    pub(super) at: i64,
    pub(super) job: Option<i64>,
    pub(super) who: String,
    pub(super) why: String,
    pub(super) json: String,
}

/// One row of `settings_jobs`.
#[derive(Clone, Debug, FromRow)]
pub(super) struct JobRow {
    pub(super) id: i64,
    pub(super) namespace: String,
    pub(super) who: String,
    pub(super) why: String,
    pub(super) spec: String,
    pub(super) state: String,
    pub(super) total: i64,
    pub(super) done: i64,
    pub(super) changed: i64,
    pub(super) place: String,
    pub(super) finished_at: Option<i64>,
    pub(super) trouble: String,
}

/// One account that a job names.
#[derive(Clone, Debug, FromRow)]
pub(super) struct Item {
    pub(super) item: i64,
    pub(super) account: String,
    pub(super) json: String,
}
