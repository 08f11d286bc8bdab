-- What a connection asks of the database as a whole. SQLite only.
-- Values are numbered (?1) or in order (?): sequences are bound faster than names, and order is stated per block.

-- name: begin_write
-- The one writing transaction; SQLITE_BUSY at once if another process has it.
BEGIN IMMEDIATE;

-- name: begin_read
-- A snapshot begins with the first question after this.
BEGIN;

-- name: commit
COMMIT;

-- name: rollback
ROLLBACK;

-- name: data_version
-- A number that differs once another connection has committed. Compared only with answers on the same connection.
PRAGMA data_version;

-- name: has_migrations
-- A row if this database was ever opened by Perdure. Reads the schema, which is in memory.
-- Scan: sqlite_schema, a dozen rows.
SELECT 1
  FROM sqlite_schema
 WHERE type = 'table'
   AND name = 'perdure_migrations';

-- name: applied_migration
-- The number of the newest applied migration. One seek.
SELECT max(number) FROM perdure_migrations;

-- name: record_migration
-- number, name, at.
INSERT INTO perdure_migrations (number, name, at) VALUES (?, ?, ?);

-- name: count_checkpoints
-- Scan: the table.
SELECT count(*) FROM perdure_checkpoints;

-- name: count_segments
-- Scan: the table.
SELECT count(*) FROM perdure_segments;

-- name: count_writes
-- Scan: the table.
SELECT count(*) FROM perdure_writes;

-- name: count_staged
-- Scan: the table.
SELECT count(*) FROM perdure_staged;

-- name: count_runs
-- Scan: the table.
SELECT count(*) FROM perdure_runs;

-- name: count_items
-- Live items. Scan: perdure_items_by_version, which has just these.
SELECT count(*) FROM perdure_items WHERE alive = 1;

-- name: count_history
-- Versions of items, live ones and deletions included. Scan: the table.
SELECT count(*) FROM perdure_versions;

-- name: count_postings
-- Scan: the table.
SELECT count(*) FROM perdure_postings;

-- name: count_vectors
-- Scan: the table.
SELECT coalesce(sum(items), 0) FROM perdure_vector_spaces;
