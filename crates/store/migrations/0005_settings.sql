-- What accounts have set. The same text makes the tables in SQLite and in PostgreSQL.

-- The revision of the last change of each namespace. Whoever changes something there holds its row until it is committed, so that
-- revisions become visible in their order. Revisions up to `horizon` may have been forgotten. `accounts` have settings.
CREATE TABLE settings_revision (
    namespace TEXT   NOT NULL PRIMARY KEY,
    revision  BIGINT NOT NULL,
    horizon   BIGINT NOT NULL,
    accounts  BIGINT NOT NULL
);

-- The settings of one account. `own` has a bit for each that the account chose itself. Those that were reset stay for a while, so
-- that whoever asks what changed hears it.
CREATE TABLE account_settings (
    namespace TEXT   NOT NULL,
    account   TEXT   NOT NULL,
    revision  BIGINT NOT NULL,
    own       BIGINT NOT NULL,
    reset_at  BIGINT,
    json      TEXT   NOT NULL,
    PRIMARY KEY (namespace, account)
);
CREATE UNIQUE INDEX account_settings_by_revision ON account_settings (namespace, revision);
CREATE INDEX account_settings_that_were_reset ON account_settings (reset_at) WHERE reset_at IS NOT NULL;

-- The audit trail: who set what, and why. Where a job did it, that knows who and why. `json` is what holds from then on.
CREATE TABLE settings_history (
    namespace TEXT   NOT NULL,
    revision  BIGINT NOT NULL,
    account   TEXT   NOT NULL,
    at        BIGINT NOT NULL,
    job       BIGINT,
    who       TEXT   NOT NULL,
    why       TEXT   NOT NULL,
    json      TEXT   NOT NULL,
    PRIMARY KEY (namespace, revision)
);
CREATE INDEX settings_history_by_account ON settings_history (namespace, account, revision);
CREATE INDEX settings_history_by_time ON settings_history (at);

-- Changes of many accounts. `place` is how far it is: the last account or the last item that was looked at.
CREATE TABLE settings_jobs (
    id          BIGINT NOT NULL PRIMARY KEY,
    namespace   TEXT   NOT NULL,
    who         TEXT   NOT NULL,
    why         TEXT   NOT NULL,
    spec        TEXT   NOT NULL,
    state       TEXT   NOT NULL,
    total       BIGINT NOT NULL,
    done        BIGINT NOT NULL,
    changed     BIGINT NOT NULL,
    place       TEXT   NOT NULL,
    finished_at BIGINT,
    trouble     TEXT   NOT NULL
);
CREATE INDEX settings_jobs_to_do ON settings_jobs (id) WHERE finished_at IS NULL;

-- The accounts that a job names, until it is over.
CREATE TABLE settings_job_items (
    job     BIGINT NOT NULL,
    item    BIGINT NOT NULL,
    account TEXT   NOT NULL,
    json    TEXT   NOT NULL,
    PRIMARY KEY (job, item)
);
