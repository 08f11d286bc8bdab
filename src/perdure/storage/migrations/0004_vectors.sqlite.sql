-- Migration 4, SQLite: what a search by meaning finds. `schema.sqlite.sql` has the same tables with the reasons.

ALTER TABLE perdure_items ADD COLUMN model INTEGER;

CREATE TABLE perdure_vectors (
  item INTEGER PRIMARY KEY,
  model INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  data BLOB NOT NULL
) STRICT;

CREATE INDEX perdure_vectors_by_seq ON perdure_vectors (item >> 32, model, seq);

CREATE TABLE perdure_vector_spaces (
  space INTEGER NOT NULL,
  model INTEGER NOT NULL,
  items INTEGER NOT NULL,
  changed INTEGER NOT NULL,
  PRIMARY KEY (space, model)
) STRICT, WITHOUT ROWID;
