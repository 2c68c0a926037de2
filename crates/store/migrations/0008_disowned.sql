-- When somebody else may have used an account that was released: of these days its networks have none. The same text in SQLite and in
-- PostgreSQL.
ALTER TABLE releases ADD COLUMN disowned_from BIGINT;
ALTER TABLE releases ADD COLUMN disowned_to BIGINT;
