-- Paths that somebody declared (`indexes=`), and for each live item what stands at them: a listing that filters by one is a range.
-- Rows and not an index on an expression: they are made by who writes the item, by the code that decides about filters, so what
-- another JSON reader would not take is no matter; any role that may write rows may declare; and nobody waits for their making.

CREATE SEQUENCE perdure_path_no;

-- name NULL: dropped, its rows are being removed. filled: the items up to this id that stood before it was declared have their
-- rows; the greatest number: all have, so it may be read. Writers make rows from the first moment on.
CREATE TABLE perdure_paths (
  no BIGINT PRIMARY KEY,
  filled BIGINT NOT NULL,
  name BYTEA UNIQUE
);

-- value: a number or the beginning of a text, so that byte order is the order of filters (`postgres/paths.py`).
CREATE TABLE perdure_path_values (
  item BIGINT NOT NULL,
  path BIGINT NOT NULL,
  version BIGINT NOT NULL,
  value BYTEA NOT NULL,
  PRIMARY KEY (item, path)
) WITH (fillfactor = 90);

CREATE INDEX perdure_path_values_by_value ON perdure_path_values (path, (item >> 32), value, version);

-- Namespaces whose vectors are copied for an index of the extension `vector`, and up to which commit they are. The copies
-- (`perdure_near_vector`, `perdure_near_halfvec`) are made when they are asked for: their types are the extension's. seq: the vectors of
-- commits up to here are there; the others are few, and compared beside them. setting: what was asked for, and the space it is in.
CREATE TABLE perdure_near (
  space BIGINT NOT NULL,
  model BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  ready SMALLINT NOT NULL,
  setting BYTEA NOT NULL,
  PRIMARY KEY (space, model)
);
