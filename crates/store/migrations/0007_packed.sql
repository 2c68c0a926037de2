-- Records are packed (zstd): a BLOB. A TEXT is the JSON that earlier versions wrote.
ALTER TABLE records RENAME COLUMN json TO content;
