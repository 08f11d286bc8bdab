-- Copies of vectors that the extension `vector` has indexes of. Postgres only. What touches the copies themselves is in
-- `postgres/near.py`: names of tables, types and operators depend on what is installed, and where.

-- name: near_extension
-- Schema and version of the extension, if there is one.
SELECT n.nspname::text, e.extversion
  FROM pg_extension e
  JOIN pg_namespace n ON n.oid = e.extnamespace
 WHERE e.extname = 'vector';

-- name: near_spaces
-- Which namespaces have an index that may be asked, and with what setting. Scan: perdure_near, which has a row for each large one.
SELECT space, model, setting FROM perdure_near WHERE ready = 1;

-- name: near_state
-- $1 space, $2 model. One seek.
SELECT seq, ready, setting FROM perdure_near WHERE space = $1 AND model = $2;

-- name: large_spaces
-- $1 model, $2 how many items are many. Scan: perdure_vector_spaces.
SELECT space FROM perdure_vector_spaces WHERE model = $1 AND items >= $2 ORDER BY space;

-- name: set_near
-- $1 space, $2 model, $3 seq, $4 ready, $5 setting. One seek.
INSERT INTO perdure_near (space, model, seq, ready, setting) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (space, model) DO UPDATE SET seq = excluded.seq, ready = excluded.ready, setting = excluded.setting;

-- name: near_table
-- $1 name of a table of copies, with its schema. A row, if it is there with its vectors.
SELECT 1 FROM pg_attribute a WHERE a.attrelid = to_regclass($1) AND a.attname = 'data' AND NOT a.attisdropped;

-- name: unready_near
-- All is copied anew, and asked for when it is. Scan: perdure_near.
UPDATE perdure_near SET seq = 0, ready = 0;

-- name: left_near
-- Those that have no vectors of the model any more. Scan: perdure_near.
SELECT r.space, r.model, r.setting
  FROM perdure_near r
  LEFT JOIN perdure_vector_spaces s ON s.space = r.space AND s.model = r.model AND s.items > 0
 WHERE s.space IS NULL;

-- name: remove_near
-- $1 space, $2 model. One seek.
DELETE FROM perdure_near WHERE space = $1 AND model = $2;

-- name: index_state
-- $1 name of an index, with its schema. Whether it can be used, and whether somebody is building it. No row: there is none.
SELECT i.indisvalid,
       EXISTS (SELECT 1 FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)
  FROM pg_index i
 WHERE i.indexrelid = to_regclass($1);
