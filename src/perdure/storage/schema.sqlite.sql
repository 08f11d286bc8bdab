-- The SQLite schema as it stands after all migrations. A test proves that the migrations reach it.
--
-- Names begin with `perdure_`: the file may hold tables of the user, or of another checkpointer. All user text is BLOB
-- (UTF-8, lone surrogates passed): NUL and surrogates cannot be bound as text. STRICT: a wrong type is an error.
-- Ids of checkpoints, runs and tasks: 16 bytes for a canonical UUID, other text behind its place between UUIDs, so
-- that byte order is the order of the texts (`sqlite/packing.py`).
--
-- Measured (300 threads, 60 turns each, a turn being 3 checkpoints, 2 segments, 2 commits; 8 KiB pages then, 4 now): segments in a
-- WITHOUT ROWID table cost 440 bytes a turn more (rows over a quarter page spill); a row id made of log and position
-- costs the same bytes as an index on (thread, log, start), and a log reads in one range (131 against 394 microseconds).
-- A unique index on commits.id: 28 bytes and 15 microseconds a commit. A table of heads: 7 microseconds a commit.

-- Which migrations were applied, newest last. Written by the migrations themselves, each in its own transaction.
CREATE TABLE perdure_migrations (
  number INTEGER PRIMARY KEY,
  name BLOB NOT NULL,
  at INTEGER NOT NULL
) STRICT;

-- One row a commit. `seq` is its revision. No index on `id`: it is asked for only when an outcome is unknown.
CREATE TABLE perdure_commits (
  seq INTEGER PRIMARY KEY,
  id BLOB NOT NULL,
  at INTEGER NOT NULL
) STRICT;

-- Threads and chains have numbers, so that hot rows carry one to three bytes instead of two texts.
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

-- The head of a chain is its greatest id: one seek, no table of heads.
-- parent: NULL none; empty: the id before this one in the chain (kept true by whoever inserts or deletes between them).
-- parent_ns: NULL: the chain's own. source: 0 loop, 1 input, 2 update, 3 fork, or any other text as BLOB.
-- at: microseconds since the time in `id`, where that is a UUID of version 6, else since 1970. seq: of the commit.
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

-- A log has at least one segment; with its last segment its row goes.
CREATE TABLE perdure_logs (
  thread INTEGER NOT NULL,
  log INTEGER NOT NULL,
  no INTEGER NOT NULL,
  PRIMARY KEY (thread, log)
) STRICT, WITHOUT ROWID;

-- place: number of the log << 32 | start.
CREATE TABLE perdure_segments (
  place INTEGER PRIMARY KEY,
  count INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  payload BLOB NOT NULL
) STRICT;

-- task: as ids are packed; empty for the task of the run itself (the nil UUID).
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

-- Few rows, of unfinished steps only: what forgets a namespace scans them.
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

-- id: number of the namespace << 32 | n. version: the item's newest; alive = 0: that is its deletion, and the row stays
-- until the history of the item is pruned. idx, length: how the live one is filed (`perdure_indexes`), with how many terms;
-- NULL: it is not to be found. paths: what of it is, as JSON; NULL: what the store says. model: what made its
-- vectors (`perdure_indexes`); NULL: it has none; 0: none yet, they are owed.
-- expires: microseconds, of the live one: from then on it is gone, swept or not; NULL: never.
CREATE TABLE perdure_items (
  id INTEGER PRIMARY KEY,
  key BLOB NOT NULL,
  version INTEGER NOT NULL,
  alive INTEGER NOT NULL,
  idx INTEGER,
  length INTEGER,
  paths BLOB,
  model INTEGER,
  expires INTEGER
) STRICT;

CREATE UNIQUE INDEX perdure_items_by_key ON perdure_items (id >> 32, key);

CREATE INDEX perdure_items_by_version ON perdure_items (id >> 32, version) WHERE alive = 1;

-- For sweeping: only items with an end cost a row here.
CREATE INDEX perdure_items_by_end ON perdure_items (expires, version) WHERE expires IS NOT NULL;

-- For embedding what was put off: only items whose vectors are owed cost a row here.
CREATE INDEX perdure_items_owed ON perdure_items (version) WHERE model = 0;

-- Every version of every item, live ones too: a value is stored once and never moved.
-- version: seq of the commit << 20 | n, so that a version knows its revision and all changes stand in order of commits.
-- before: the item's version before this one. created: NULL where equal to `updated`. ended: when it was replaced or
-- deleted; of a deletion, when it happened; NULL: live. thread .. actor: who wrote it. expires: of the live one as in `perdure_items`, and moved with it by refreshing; so an
-- earlier one lived until then, or until it ended: views of the past are exact. ttl: microseconds it lives anew when read.
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
  value BLOB,
  expires INTEGER,
  ttl INTEGER
) STRICT;

-- For pruning: only versions that ended cost a row here.
CREATE INDEX perdure_versions_by_end ON perdure_versions (ended, version) WHERE ended IS NOT NULL;

-- For neighbours: live versions of a namespace in the order in which their items were made; those of one time (one commit's,
-- say) in the order in which their keys were first written.
CREATE INDEX perdure_versions_by_birth ON perdure_versions (item >> 32, coalesce(created, updated), item) WHERE ended IS NULL;

-- What words find. idx: how an item was made to terms, and which (language, fields), by name; 0: it was not.
CREATE TABLE perdure_indexes (
  no INTEGER PRIMARY KEY,
  name BLOB NOT NULL UNIQUE
) STRICT;

-- term: the index's number as one byte, then the term. length: of the item, in terms; here, so that a score needs no
-- other table. Measured against FTS5 in `docs/decisions`: exact deletes, statistics of any subtree.
CREATE TABLE perdure_postings (
  term BLOB NOT NULL,
  item INTEGER NOT NULL,
  times INTEGER NOT NULL,
  length INTEGER NOT NULL,
  PRIMARY KEY (term, item)
) STRICT, WITHOUT ROWID;

-- The terms of a live item, joined by NUL: so that its postings can be found again.
CREATE TABLE perdure_texts (
  item INTEGER PRIMARY KEY,
  terms BLOB NOT NULL
) STRICT;

-- Statistics of a namespace: live items with terms, their lengths, live items to be found that have none.
CREATE TABLE perdure_totals (
  space INTEGER NOT NULL,
  idx INTEGER NOT NULL,
  items INTEGER NOT NULL,
  length INTEGER NOT NULL,
  empty INTEGER NOT NULL,
  PRIMARY KEY (space, idx)
) STRICT, WITHOUT ROWID;
-- At most one row: the newest commit with a deletion that was pruned together with its item. Views older than that may be
-- short, so they are refused. (Any other version that is pruned is still named as the one `before` its successor.)
CREATE TABLE perdure_floor (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  seq INTEGER NOT NULL
) STRICT;

-- What a search by meaning finds: the vectors of a live item one after the other, float32, least byte first. seq: of the
-- commit that wrote them, so that a matrix in memory learns what is new. With a row id the values stay off the index.
CREATE TABLE perdure_vectors (
  item INTEGER PRIMARY KEY,
  model INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  data BLOB NOT NULL
) STRICT;

CREATE INDEX perdure_vectors_by_seq ON perdure_vectors (item >> 32, model, seq);

-- How many items of a namespace have vectors of a model, and the commit that changed any last.
CREATE TABLE perdure_vector_spaces (
  space INTEGER NOT NULL,
  model INTEGER NOT NULL,
  items INTEGER NOT NULL,
  changed INTEGER NOT NULL,
  PRIMARY KEY (space, model)
) STRICT, WITHOUT ROWID;
