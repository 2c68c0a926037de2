-- Each namespace changes by itself. The same text makes the tables in SQLite and in PostgreSQL.

-- The revision of a namespace's last change. Whoever changes something in it holds its row until it is committed, so that revisions
-- become visible in their order. Revisions up to `horizon`, and releases up to the time `forgotten`, may have been forgotten.
CREATE TABLE account_namespaces (
    namespace TEXT   NOT NULL PRIMARY KEY,
    revision  BIGINT NOT NULL,
    horizon   BIGINT NOT NULL,
    forgotten BIGINT NOT NULL
);
INSERT INTO account_namespaces (namespace, revision, horizon, forgotten)
    SELECT named.namespace, last.revision, last.horizon, 0
    FROM (SELECT namespace FROM restrictions UNION SELECT namespace FROM account_history) AS named
    CROSS JOIN account_revision AS last;
DROP TABLE account_revision;

-- That somebody released an account, from an origin or (with none) from all: what was imposed before is not taken any more.
CREATE TABLE releases (
    namespace TEXT   NOT NULL,
    account   TEXT   NOT NULL,
    origin    TEXT   NOT NULL,
    revision  BIGINT NOT NULL,
    at        BIGINT NOT NULL,
    PRIMARY KEY (namespace, account, origin)
);
CREATE INDEX releases_by_revision ON releases (namespace, revision);
CREATE INDEX releases_by_time ON releases (namespace, at);

DROP INDEX restrictions_that_ended;
CREATE INDEX restrictions_that_ended ON restrictions (namespace, ended_at) WHERE ended_at IS NOT NULL;

-- The audit trail again, counted by namespace.
CREATE TABLE account_trail (
    namespace TEXT   NOT NULL,
    revision  BIGINT NOT NULL,
    account   TEXT   NOT NULL,
    at        BIGINT NOT NULL,
    action    TEXT   NOT NULL,
    who       TEXT   NOT NULL,
    why       TEXT   NOT NULL,
    json      TEXT   NOT NULL,
    PRIMARY KEY (namespace, revision)
);
INSERT INTO account_trail (namespace, revision, account, at, action, who, why, json)
    SELECT namespace, revision, account, at, action, who, why, json FROM account_history;
DROP TABLE account_history;
CREATE INDEX account_trail_by_account ON account_trail (namespace, account, revision);
CREATE INDEX account_trail_by_time ON account_trail (namespace, at);

-- What the store is called, and up to when it has seen time go by. `identity` is drawn when it is first opened.
CREATE TABLE account_store (
    one      BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    identity TEXT   NOT NULL,
    cautious BIGINT NOT NULL,
    seen_at  BIGINT NOT NULL
);
