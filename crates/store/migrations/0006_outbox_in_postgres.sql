-- Messages that wait to be told to a channel, beside the account states that they tell of. `id` is the key under which the receiver tells
-- repetitions; a message that was delivered or given up leaves only that, so that it is not told again.
CREATE TABLE outbox (
    id         TEXT   NOT NULL PRIMARY KEY,
    namespace  TEXT   NOT NULL,
    channel    TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    due_at     BIGINT NOT NULL,
    attempts   BIGINT NOT NULL,
    done_at    BIGINT,
    body       TEXT   NOT NULL
);
CREATE INDEX outbox_by_due ON outbox (due_at) WHERE done_at IS NULL;
CREATE INDEX outbox_by_done ON outbox (done_at) WHERE done_at IS NOT NULL;
CREATE INDEX outbox_by_channel ON outbox (namespace, channel) WHERE done_at IS NULL;
