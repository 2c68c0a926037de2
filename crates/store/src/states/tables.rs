//! The statements on the tables of accounts, run by the driver itself. Both databases take the same text.

/// Where a namespace is. One that nothing was done in has the revision one, since whoever asks for zero wants all there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) revision: i64,
    /// Up to here what ended may have been forgotten.
    pub(super) horizon: i64,
    /// Up to this time releases may have been forgotten.
    pub(super) forgotten: i64,
}

/// One row of `restrictions`.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) namespace: String,
    pub(super) account: String,
    pub(super) origin: String,
    pub(super) revision: i64,
    pub(super) until_at: Option<i64>,
    pub(super) ended_at: Option<i64>,
    pub(super) json: String,
}

/// One row of `releases`. An empty origin is every origin.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) account: String,
    pub(super) origin: String,
    pub(super) revision: i64,
    pub(super) at: i64,
    /// From when to when somebody else may have used the account.
    pub(super) disowned: Option<(i64, i64)>,
}

/// What changed: a row of either table.
#[derive(Clone, Debug)]
pub(super) enum News {
    Restriction(Row),
    Release(Mark),
}

/// One row of `account_trail`.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) revision: i64,
    pub(super) namespace: String,
    pub(super) account: String,
    pub(super) at: i64,
    pub(super) action: String,
    pub(super) who: String,
    pub(super) why: String,
    pub(super) json: String,
}

/// How much of a namespace is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    /// What was done since this time, of the newest so many that rules did.
    pub(super) history: (i64, i64),
    /// What ended since this time, of the newest so many.
    pub(super) ended: (i64, i64),
    /// Releases since this time, of the newest so many.
    pub(super) releases: (i64, i64),
}

pub(super) type Sql<T> = Result<T, sqlx::Error>;

/// A connection to a database that has the tables. Whatever changes a namespace begins with [`Tables::lock`].
pub(super) trait Tables: Send {
    /// Keeps everybody else from changing anything in a namespace until the transaction ends.
    fn lock(&mut self, namespace: &str) -> impl Future<Output = Sql<Place>> + Send;
    /// What the store is called, and where a namespace is.
    fn place(&mut self, namespace: &str) -> impl Future<Output = Sql<(String, Place)>> + Send;
    /// All namespaces in which something was done, with their revisions.
    fn places(&mut self) -> impl Future<Output = Sql<Vec<(String, i64)>>> + Send;
    /// The next revision: one more, or the time if that is more, so that it grows even after a restore.
    fn advance(&mut self, namespace: &str, now: i64) -> impl Future<Output = Sql<i64>> + Send;
    /// When somebody looked last.
    fn seen_at(&mut self) -> impl Future<Output = Sql<i64>> + Send;
    /// Moves the time on by which things are deleted, by `most` at most, and keeps others from doing so until the transaction ends.
    fn tick(&mut self, now: i64, most: i64) -> impl Future<Output = Sql<i64>> + Send;
    /// Nobody released anything later than now.
    fn clamp_releases(&mut self, now: i64) -> impl Future<Output = Sql<()>> + Send;
    fn row(
        &mut self,
        namespace: &str,
        account: &str,
        origin: &str,
    ) -> impl Future<Output = Sql<Option<Row>>> + Send;
    fn put(&mut self, row: &Row) -> impl Future<Output = Sql<()>> + Send;
    /// The newest release of an account from an origin, or from all.
    fn mark(
        &mut self,
        namespace: &str,
        account: &str,
        origin: &str,
    ) -> impl Future<Output = Sql<Option<Mark>>> + Send;
    fn put_mark(&mut self, namespace: &str, mark: &Mark) -> impl Future<Output = Sql<()>> + Send;
    fn note(&mut self, event: &Event) -> impl Future<Output = Sql<()>> + Send;
    /// Forgets all but the newest `most` of what was imposed on an account.
    fn trim(
        &mut self,
        namespace: &str,
        account: &str,
        most: i64,
    ) -> impl Future<Output = Sql<()>> + Send;
    /// All rows of an account, those that ended too.
    fn of_account(
        &mut self,
        namespace: &str,
        account: &str,
    ) -> impl Future<Output = Sql<Vec<Row>>> + Send;
    /// What changed after a revision, in the order of the revisions.
    fn since(
        &mut self,
        namespace: &str,
        revision: i64,
        most: i64,
    ) -> impl Future<Output = Sql<Vec<News>>> + Send;
    /// What stands, and was released, in the order of the revisions.
    fn standing(
        &mut self,
        namespace: &str,
        most: i64,
    ) -> impl Future<Output = Sql<Vec<News>>> + Send;
    /// How many that rules imposed stand, up to `most`.
    fn count(&mut self, namespace: &str, most: i64) -> impl Future<Output = Sql<i64>> + Send;
    /// Rows that stand and were over at that time.
    fn due(
        &mut self,
        namespace: &str,
        before: i64,
        most: i64,
    ) -> impl Future<Output = Sql<Vec<Row>>> + Send;
    fn history(
        &mut self,
        namespace: &str,
        account: &str,
        most: i64,
    ) -> impl Future<Output = Sql<Vec<Event>>> + Send;
    /// Forgets what is not to be kept, and moves the horizons behind it.
    fn forget(&mut self, namespace: &str, keep: Keep) -> impl Future<Output = Sql<()>> + Send;
}

const LOCK: &str = "
    INSERT INTO account_namespaces (namespace, revision, horizon, forgotten) VALUES ($1, 1, 0, 0)
    ON CONFLICT (namespace) DO UPDATE SET revision = account_namespaces.revision
    RETURNING revision, horizon, forgotten";
const PLACE: &str = "
    SELECT coalesce(revision, 1), coalesce(horizon, 0), coalesce(forgotten, 0), identity
    FROM account_store LEFT JOIN account_namespaces ON namespace = $1 WHERE one = 1";
const PLACES: &str = "SELECT namespace, revision FROM account_namespaces";
const ADVANCE: &str = "
    UPDATE account_namespaces SET revision = CASE WHEN revision + 1 > $2 THEN revision + 1 ELSE $2 END
    WHERE namespace = $1 RETURNING revision";
const SEEN_AT: &str = "SELECT seen_at FROM account_store WHERE one = 1";
const TICK: &str = "
    UPDATE account_store SET seen_at = $1, cautious = CASE
        WHEN cautious = 0 OR $1 <= cautious + $2 THEN $1
        ELSE cautious + $2 END
    WHERE one = 1 RETURNING cautious";
const CLAMP: &str = "UPDATE releases SET at = $1 WHERE at > $1";
const ROW: &str = "
    SELECT namespace, account, origin, revision, until_at, ended_at, json FROM restrictions
    WHERE namespace = $1 AND account = $2 AND origin = $3";
const PUT: &str = "
    INSERT INTO restrictions (namespace, account, origin, revision, until_at, ended_at, json)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (namespace, account, origin) DO UPDATE SET
        revision = excluded.revision, until_at = excluded.until_at, ended_at = excluded.ended_at, json = excluded.json";
const MARK: &str = "
    SELECT account, origin, revision, at, disowned_from, disowned_to FROM releases
    WHERE namespace = $1 AND account = $2 AND (origin = $3 OR origin = '') ORDER BY at DESC, revision DESC LIMIT 1";
const PUT_MARK: &str = "
    INSERT INTO releases (namespace, account, origin, revision, at, disowned_from, disowned_to) VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (namespace, account, origin) DO UPDATE SET
        revision = excluded.revision, at = excluded.at,
        disowned_from = excluded.disowned_from, disowned_to = excluded.disowned_to";
const NOTE: &str = "
    INSERT INTO account_trail (revision, namespace, account, at, action, who, why, json)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const TRIM: &str = "
    DELETE FROM account_trail WHERE namespace = $1 AND account = $2 AND action = 'Imposed' AND revision <= (
        SELECT revision FROM account_trail WHERE namespace = $1 AND account = $2 AND action = 'Imposed'
        ORDER BY revision DESC LIMIT 1 OFFSET $3)";
const OF_ACCOUNT: &str = "
    SELECT namespace, account, origin, revision, until_at, ended_at, json FROM restrictions
    WHERE namespace = $1 AND account = $2 ORDER BY revision";
const SINCE: &str = "
    SELECT namespace, account, origin, revision, until_at, ended_at, json,
        CAST(NULL AS BIGINT) AS released_at, CAST(NULL AS BIGINT) AS disowned_from, CAST(NULL AS BIGINT) AS disowned_to
    FROM restrictions WHERE namespace = $1 AND revision > $2
    UNION ALL
    SELECT namespace, account, origin, revision, NULL, NULL, '', at, disowned_from, disowned_to
    FROM releases WHERE namespace = $1 AND revision > $2
    ORDER BY revision LIMIT $3";
const STANDING: &str = "
    SELECT namespace, account, origin, revision, until_at, ended_at, json,
        CAST(NULL AS BIGINT) AS released_at, CAST(NULL AS BIGINT) AS disowned_from, CAST(NULL AS BIGINT) AS disowned_to
    FROM restrictions WHERE namespace = $1 AND ended_at IS NULL
    UNION ALL
    SELECT namespace, account, origin, revision, NULL, NULL, '', at, disowned_from, disowned_to
    FROM releases WHERE namespace = $1
    ORDER BY revision LIMIT $2";
const COUNT: &str = "
    SELECT count(*) FROM (SELECT 1 FROM restrictions WHERE namespace = $1 AND ended_at IS NULL AND origin <> 'Desk' LIMIT $2) AS standing";
const DUE: &str = "
    SELECT namespace, account, origin, revision, until_at, ended_at, json FROM restrictions
    WHERE namespace = $1 AND ended_at IS NULL AND until_at IS NOT NULL AND until_at <= $2 ORDER BY until_at LIMIT $3";
const HISTORY: &str = "
    SELECT revision, namespace, account, at, action, who, why, json FROM account_trail
    WHERE namespace = $1 AND account = $2 ORDER BY revision DESC LIMIT $3";

/// In their order: each takes the namespace, a time, and how many of the newest may stay.
const FORGET: [&str; 6] = [
    "UPDATE account_namespaces SET horizon = coalesce((
        SELECT max(revision) FROM restrictions
        WHERE namespace = $1 AND revision > horizon AND ended_at IS NOT NULL AND (ended_at < $2 OR ended_at <= (
            SELECT ended_at FROM restrictions WHERE namespace = $1 AND ended_at IS NOT NULL
            ORDER BY ended_at DESC LIMIT 1 OFFSET $3))), horizon)
    WHERE namespace = $1",
    "DELETE FROM restrictions WHERE namespace = $1 AND ended_at IS NOT NULL AND (ended_at < $2 OR ended_at <= (
        SELECT ended_at FROM restrictions WHERE namespace = $1 AND ended_at IS NOT NULL
        ORDER BY ended_at DESC LIMIT 1 OFFSET $3))",
    "UPDATE account_namespaces SET forgotten = coalesce((
        SELECT max(at) FROM releases WHERE namespace = $1 AND at > forgotten AND (at < $2 OR at <= (
            SELECT at FROM releases WHERE namespace = $1 ORDER BY at DESC LIMIT 1 OFFSET $3))), forgotten)
    WHERE namespace = $1",
    "UPDATE account_namespaces SET horizon = coalesce((
        SELECT max(revision) FROM releases WHERE namespace = $1 AND revision > horizon AND (at < $2 OR at <= (
            SELECT at FROM releases WHERE namespace = $1 ORDER BY at DESC LIMIT 1 OFFSET $3))), horizon)
    WHERE namespace = $1",
    "DELETE FROM releases WHERE namespace = $1 AND (at < $2 OR at <= (
        SELECT at FROM releases WHERE namespace = $1 ORDER BY at DESC LIMIT 1 OFFSET $3))",
    "DELETE FROM account_trail WHERE namespace = $1 AND (at < $2 OR (action IN ('Imposed', 'Lifted') AND revision <= (
        SELECT revision FROM account_trail WHERE namespace = $1 AND action IN ('Imposed', 'Lifted')
        ORDER BY revision DESC LIMIT 1 OFFSET $3)))",
];

mod sqlite {
    use sqlx::Row as _;

    use super::super::statements::tables;
    use super::*;

    tables!(sqlx::SqliteConnection, sqlx::sqlite::SqliteRow);
}

mod postgres {
    use sqlx::Row as _;

    use super::super::statements::tables;
    use super::*;

    tables!(sqlx::PgConnection, sqlx::postgres::PgRow);
}
