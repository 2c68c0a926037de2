-- The ledger: one row for each transaction, and what leads to it.

-- Configurations that records refer to. `json` is absent while a record is here before its snapshot.
CREATE TABLE snapshots (
    id         INTEGER PRIMARY KEY,
    digest     TEXT    NOT NULL UNIQUE,
    gateway    TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    json       TEXT
);

-- `seq` grows, so that records are appended at one end and pruned at the other; `id` is random.
CREATE TABLE records (
    seq        INTEGER PRIMARY KEY,
    id         INTEGER NOT NULL UNIQUE,
    gateway    TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    account    TEXT,
    source     TEXT    NOT NULL,
    class      TEXT    NOT NULL,
    ended      TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    snapshot   INTEGER NOT NULL REFERENCES snapshots (id),
    json       TEXT    NOT NULL
);
CREATE INDEX records_by_time ON records (at);
CREATE INDEX records_by_account ON records (account, at) WHERE account IS NOT NULL;
CREATE INDEX records_by_snapshot ON records (snapshot);

-- Further accounts that somebody claimed to be in the same session.
CREATE TABLE claims (
    account TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    record  INTEGER NOT NULL REFERENCES records (seq) ON DELETE CASCADE,
    PRIMARY KEY (account, at, record)
) WITHOUT ROWID;
CREATE INDEX claims_by_record ON claims (record);

-- Ids that a client was given with a refusal. They are random, so two records may in theory share one.
CREATE TABLE decisions (
    id      INTEGER NOT NULL,
    record  INTEGER NOT NULL REFERENCES records (seq) ON DELETE CASCADE,
    step    INTEGER NOT NULL,
    stage   TEXT    NOT NULL,
    verdict TEXT    NOT NULL,
    PRIMARY KEY (id, record, step)
) WITHOUT ROWID;
CREATE INDEX decisions_by_record ON decisions (record);

-- What people did to the store.
CREATE TABLE audit (
    id       INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    who      TEXT    NOT NULL,
    action   TEXT    NOT NULL,
    subject  TEXT    NOT NULL,
    why      TEXT    NOT NULL,
    affected INTEGER NOT NULL
);
