-- The tables as on SQLite (`schema.sqlite.sql` says what each column means), with what is different here:
-- Names are qualified when the queries are loaded; a migration runs with the schema as its search_path. All user text is
-- BYTEA: byte order is the order of the contract, whatever the database's collation, and NUL can be stored.
-- Keys lead with the number of a thread's chain or log, or of a namespace. No foreign keys: the locks of a commit
-- (by name, see `postgres/locks.py`) guard more than they could, and cost no look at another table.
-- Numbers come from sequences in blocks of 32, one block a process at a time: a sequence is nobody's lock.
-- Indexes whose newest entries are the greatest, of all or of a chain, leave no room in what is full (fillfactor = 100).
-- Payloads are stored EXTERNAL: our codec has compressed what gets smaller, so TOAST does not try again.

CREATE SEQUENCE perdure_seq;

CREATE SEQUENCE perdure_thread_no INCREMENT BY 32;

CREATE SEQUENCE perdure_chain_no INCREMENT BY 32;

CREATE SEQUENCE perdure_log_no INCREMENT BY 32 MAXVALUE 2147483647;

CREATE SEQUENCE perdure_namespace_no INCREMENT BY 32 MAXVALUE 2147483647;

-- Which cluster, database and timeline the newest commits were made in. Where that is another one than the present, the
-- database was restored, copied or promoted, and the sequence jumps ahead: decision 0014.
CREATE TABLE perdure_origin (
  one SMALLINT PRIMARY KEY CHECK (one = 1),
  cluster BYTEA NOT NULL,
  jumps BIGINT NOT NULL
);

-- One row a commit. `seq` is its revision; drawn when all locks are held, so where two commits touch one thread or
-- namespace it follows their order. Index on `id`: a commit whose outcome is unknown is asked for on every repetition.
CREATE TABLE perdure_commits (
  seq BIGINT PRIMARY KEY WITH (fillfactor = 100),
  id BYTEA NOT NULL,
  at BIGINT NOT NULL
);

CREATE INDEX perdure_commits_by_id ON perdure_commits (id) WITH (fillfactor = 100);

CREATE TABLE perdure_threads (
  no BIGINT PRIMARY KEY,
  name BYTEA NOT NULL UNIQUE
);

CREATE TABLE perdure_chains (
  no BIGINT PRIMARY KEY,
  thread BIGINT NOT NULL,
  ns BYTEA NOT NULL,
  UNIQUE (thread, ns)
);

CREATE TABLE perdure_runs (
  thread BIGINT NOT NULL,
  id BYTEA NOT NULL,
  at BIGINT NOT NULL,
  metadata BYTEA NOT NULL,
  PRIMARY KEY (thread, id)
);

-- source: always its text. Never updated in a step: the head of a chain is its greatest id, one seek, so that no
-- row is written twice and nothing has to be vacuumed behind a thread that grows.
CREATE TABLE perdure_checkpoints (
  chain BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  step BIGINT NOT NULL,
  whole SMALLINT NOT NULL,
  id BYTEA NOT NULL,
  parent BYTEA,
  parent_ns BYTEA,
  source BYTEA NOT NULL,
  run BYTEA,
  metadata BYTEA,
  state BYTEA NOT NULL,
  PRIMARY KEY (chain, id) WITH (fillfactor = 100)
);

ALTER TABLE perdure_checkpoints ALTER COLUMN state SET STORAGE EXTERNAL;

CREATE TABLE perdure_logs (
  thread BIGINT NOT NULL,
  log BIGINT NOT NULL,
  no BIGINT NOT NULL,
  PRIMARY KEY (thread, log)
);

-- place: number of the log << 32 | start.
CREATE TABLE perdure_segments (
  place BIGINT PRIMARY KEY WITH (fillfactor = 100),
  count BIGINT NOT NULL,
  kind BIGINT NOT NULL,
  payload BYTEA NOT NULL
);

ALTER TABLE perdure_segments ALTER COLUMN payload SET STORAGE EXTERNAL;

-- Rows of unfinished steps come and go: room is kept for the next ones where they were.
CREATE TABLE perdure_writes (
  chain BIGINT NOT NULL,
  idx BIGINT NOT NULL,
  checkpoint BYTEA NOT NULL,
  task BYTEA NOT NULL,
  path BYTEA NOT NULL,
  channel BYTEA NOT NULL,
  payload BYTEA NOT NULL,
  PRIMARY KEY (chain, checkpoint, task, idx)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

ALTER TABLE perdure_writes ALTER COLUMN payload SET STORAGE EXTERNAL;

CREATE TABLE perdure_staged (
  chain BIGINT NOT NULL,
  idx BIGINT NOT NULL,
  checkpoint BYTEA NOT NULL,
  task BYTEA NOT NULL,
  namespace BYTEA NOT NULL,
  key BYTEA NOT NULL,
  payload BYTEA NOT NULL,
  PRIMARY KEY (chain, checkpoint, task, idx)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

ALTER TABLE perdure_staged ALTER COLUMN payload SET STORAGE EXTERNAL;

CREATE TABLE perdure_namespaces (
  no BIGINT PRIMARY KEY,
  name BYTEA NOT NULL UNIQUE
);

-- Updated with every new version of an item.
CREATE TABLE perdure_items (
  id BIGINT PRIMARY KEY,
  version BIGINT NOT NULL,
  idx BIGINT,
  length BIGINT,
  model BIGINT,
  expires BIGINT,
  alive SMALLINT NOT NULL,
  key BYTEA NOT NULL,
  paths BYTEA
) WITH (fillfactor = 85);

CREATE UNIQUE INDEX perdure_items_by_key ON perdure_items ((id >> 32), key);

CREATE INDEX perdure_items_by_version ON perdure_items ((id >> 32), version) WHERE alive = 1;

CREATE INDEX perdure_items_by_end ON perdure_items (expires, version) WHERE expires IS NOT NULL;

CREATE INDEX perdure_items_owed ON perdure_items (version) WHERE model = 0;

-- `ended` is set once in a version's life.
CREATE TABLE perdure_versions (
  version BIGINT PRIMARY KEY,
  item BIGINT NOT NULL,
  before BIGINT,
  created BIGINT,
  updated BIGINT NOT NULL,
  ended BIGINT,
  expires BIGINT,
  ttl BIGINT,
  thread BYTEA,
  checkpoint BYTEA,
  node BYTEA,
  actor BYTEA,
  value BYTEA
) WITH (fillfactor = 95);

ALTER TABLE perdure_versions ALTER COLUMN value SET STORAGE EXTERNAL;

CREATE INDEX perdure_versions_by_end ON perdure_versions (ended, version) WHERE ended IS NOT NULL;

CREATE INDEX perdure_versions_by_birth
    ON perdure_versions ((item >> 32), (coalesce(created, updated)), item) WHERE ended IS NULL;

CREATE TABLE perdure_indexes (
  no BIGINT PRIMARY KEY,
  name BYTEA NOT NULL UNIQUE
);

CREATE TABLE perdure_postings (
  item BIGINT NOT NULL,
  times BIGINT NOT NULL,
  length BIGINT NOT NULL,
  term BYTEA NOT NULL,
  PRIMARY KEY (term, item)
);

CREATE TABLE perdure_texts (
  item BIGINT PRIMARY KEY,
  terms BYTEA NOT NULL
);

-- Few rows, each updated by every commit to its namespace.
CREATE TABLE perdure_totals (
  space BIGINT NOT NULL,
  idx BIGINT NOT NULL,
  items BIGINT NOT NULL,
  length BIGINT NOT NULL,
  empty BIGINT NOT NULL,
  PRIMARY KEY (space, idx)
) WITH (fillfactor = 50);

CREATE TABLE perdure_floor (
  one SMALLINT PRIMARY KEY CHECK (one = 1),
  seq BIGINT NOT NULL
);

CREATE TABLE perdure_vectors (
  item BIGINT PRIMARY KEY,
  model BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  data BYTEA NOT NULL
);

ALTER TABLE perdure_vectors ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE INDEX perdure_vectors_by_seq ON perdure_vectors ((item >> 32), model, seq);

CREATE TABLE perdure_vector_spaces (
  space BIGINT NOT NULL,
  model BIGINT NOT NULL,
  items BIGINT NOT NULL,
  changed BIGINT NOT NULL,
  PRIMARY KEY (space, model)
) WITH (fillfactor = 50);
