-- Migration 2, SQLite: what words find. Items that are there already are filed nowhere: searches read them one by one
-- until the store's `reindex` has filed them.

ALTER TABLE perdure_items ADD COLUMN idx INTEGER;

ALTER TABLE perdure_items ADD COLUMN length INTEGER;

ALTER TABLE perdure_items ADD COLUMN paths BLOB;

UPDATE perdure_items SET idx = 0, length = 0 WHERE alive = 1;

CREATE TABLE perdure_indexes (
  no INTEGER PRIMARY KEY,
  name BLOB NOT NULL UNIQUE
) STRICT;

CREATE TABLE perdure_postings (
  term BLOB NOT NULL,
  item INTEGER NOT NULL,
  times INTEGER NOT NULL,
  length INTEGER NOT NULL,
  PRIMARY KEY (term, item)
) STRICT, WITHOUT ROWID;

CREATE TABLE perdure_texts (
  item INTEGER PRIMARY KEY,
  terms BLOB NOT NULL
) STRICT;

CREATE TABLE perdure_totals (
  space INTEGER NOT NULL,
  idx INTEGER NOT NULL,
  items INTEGER NOT NULL,
  length INTEGER NOT NULL,
  empty INTEGER NOT NULL,
  PRIMARY KEY (space, idx)
) STRICT, WITHOUT ROWID;

INSERT INTO perdure_totals (space, idx, items, length, empty)
SELECT id >> 32, 0, 0, 0, count(*) FROM perdure_items WHERE alive = 1 GROUP BY id >> 32;
