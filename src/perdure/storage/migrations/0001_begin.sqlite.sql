-- Migration 1, SQLite: threads, their logs, memory. `schema.sqlite.sql` has the same tables with the reasons.
-- Each statement ends with `;` at the end of a line; they run one by one, in one transaction with their record.

CREATE TABLE perdure_migrations (
  number INTEGER PRIMARY KEY,
  name BLOB NOT NULL,
  at INTEGER NOT NULL
) STRICT;

CREATE TABLE perdure_commits (
  seq INTEGER PRIMARY KEY,
  id BLOB NOT NULL,
  at INTEGER NOT NULL
) STRICT;

CREATE TABLE perdure_threads (
  no INTEGER PRIMARY KEY,
  name BLOB NOT NULL UNIQUE
) STRICT;

CREATE TABLE perdure_chains (
  no INTEGER PRIMARY KEY,
  thread INTEGER NOT NULL,
  ns BLOB NOT NULL,
  UNIQUE (thread, ns)
) STRICT;

CREATE TABLE perdure_runs (
  thread INTEGER NOT NULL,
  id BLOB NOT NULL,
  at INTEGER NOT NULL,
  metadata BLOB NOT NULL,
  PRIMARY KEY (thread, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE perdure_checkpoints (
  chain INTEGER NOT NULL,
  id BLOB NOT NULL,
  parent BLOB,
  parent_ns BLOB,
  step INTEGER NOT NULL,
  source ANY NOT NULL,
  at INTEGER NOT NULL,
  run BLOB,
  whole INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  metadata BLOB,
  state BLOB NOT NULL,
  PRIMARY KEY (chain, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE perdure_logs (
  thread INTEGER NOT NULL,
  log INTEGER NOT NULL,
  no INTEGER NOT NULL,
  PRIMARY KEY (thread, log)
) STRICT, WITHOUT ROWID;

CREATE TABLE perdure_segments (
  place INTEGER PRIMARY KEY,
  count INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  payload BLOB NOT NULL
) STRICT;

CREATE TABLE perdure_writes (
  chain INTEGER NOT NULL,
  checkpoint BLOB NOT NULL,
  task BLOB NOT NULL,
  idx INTEGER NOT NULL,
  path BLOB NOT NULL,
  channel BLOB NOT NULL,
  payload BLOB NOT NULL,
  PRIMARY KEY (chain, checkpoint, task, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE perdure_staged (
  chain INTEGER NOT NULL,
  checkpoint BLOB NOT NULL,
  task BLOB NOT NULL,
  idx INTEGER NOT NULL,
  namespace BLOB NOT NULL,
  key BLOB NOT NULL,
  payload BLOB NOT NULL,
  PRIMARY KEY (chain, checkpoint, task, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE perdure_namespaces (
  no INTEGER PRIMARY KEY,
  name BLOB NOT NULL UNIQUE
) STRICT;

CREATE TABLE perdure_items (
  id INTEGER PRIMARY KEY,
  key BLOB NOT NULL,
  version INTEGER NOT NULL,
  alive INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX perdure_items_by_key ON perdure_items (id >> 32, key);

CREATE INDEX perdure_items_by_version ON perdure_items (id >> 32, version) WHERE alive = 1;

CREATE TABLE perdure_versions (
  version INTEGER PRIMARY KEY,
  item INTEGER NOT NULL,
  before INTEGER,
  created INTEGER,
  updated INTEGER NOT NULL,
  ended INTEGER,
  thread BLOB,
  checkpoint BLOB,
  node BLOB,
  actor BLOB,
  value BLOB
) STRICT;

CREATE INDEX perdure_versions_by_end ON perdure_versions (ended, version) WHERE ended IS NOT NULL;
