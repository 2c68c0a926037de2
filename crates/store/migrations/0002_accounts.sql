-- What accounts may not do, and what was done about it. The same text makes the tables in SQLite and in PostgreSQL.

-- The revision of the last change. Whoever changes something holds this row until it is committed, so that revisions become
-- visible in their order. It begins with one, since whoever asks for zero wants all there is. Revisions up to `horizon` may have
-- been forgotten.
CREATE TABLE account_revision (
    one      BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    revision BIGINT NOT NULL,
    horizon  BIGINT NOT NULL
);
INSERT INTO account_revision (one, revision, horizon) VALUES (1, 1, 0);

-- One restriction of each origin for each account; those that ended stay for a while, so that whoever asks what changed hears it.
CREATE TABLE restrictions (
    namespace TEXT   NOT NULL,
    account   TEXT   NOT NULL,
    origin    TEXT   NOT NULL,
    revision  BIGINT NOT NULL,
    until_at  BIGINT,
    ended_at  BIGINT,
    json      TEXT   NOT NULL,
    PRIMARY KEY (namespace, account, origin)
);
CREATE INDEX restrictions_by_revision ON restrictions (namespace, revision);
CREATE INDEX restrictions_that_end ON restrictions (until_at) WHERE ended_at IS NULL AND until_at IS NOT NULL;
CREATE INDEX restrictions_that_ended ON restrictions (ended_at) WHERE ended_at IS NOT NULL;

-- The audit trail of accounts: who did what, and why. `json` is the restriction that it was about.
CREATE TABLE account_history (
    revision  BIGINT NOT NULL PRIMARY KEY,
    namespace TEXT   NOT NULL,
    account   TEXT   NOT NULL,
    at        BIGINT NOT NULL,
    action    TEXT   NOT NULL,
    who       TEXT   NOT NULL,
    why       TEXT   NOT NULL,
    json      TEXT   NOT NULL
);
CREATE INDEX account_history_by_account ON account_history (namespace, account, revision);
CREATE INDEX account_history_by_time ON account_history (at);
