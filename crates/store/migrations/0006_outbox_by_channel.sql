-- What waits is counted by channel whenever something is posted.
CREATE INDEX outbox_by_channel ON outbox (namespace, channel) WHERE done_at IS NULL;
