-- Commits, threads, checkpoints, segments, pending writes. Postgres: names, values and columns as in `threads.sqlite.sql`.
-- Values are numbered ($1). Rows of values come as one array a column: what writes, writes all rows of a group at once.
-- Tables are named without their schema, which is put before them when the file is loaded.

-- name: seq_of_commit
-- $1 id. The revision of a commit, newest first. One seek.
SELECT seq
  FROM perdure_commits
 WHERE id = $1
 ORDER BY seq DESC
 LIMIT 1;

-- name: head
-- $1 thread, $2 ns. The chain's greatest id, and its seq. One seek a table.
SELECT k.id, k.seq
  FROM perdure_threads t
  JOIN perdure_chains c ON c.thread = t.no AND c.ns = $2
  JOIN perdure_checkpoints k ON k.chain = c.no
 WHERE t.name = $1
 ORDER BY k.id DESC
 LIMIT 1;

-- name: heads
-- $1 thread. (ns, head) of its chains that have one, by ns. One seek a chain.
SELECT c.ns, k.id
  FROM perdure_threads t
  JOIN perdure_chains c ON c.thread = t.no
  JOIN LATERAL (
         SELECT h.id FROM perdure_checkpoints h WHERE h.chain = c.no ORDER BY h.id DESC LIMIT 1
       ) AS k ON TRUE
 WHERE t.name = $1
 ORDER BY c.ns;

-- name: threads
-- $1 after (empty: from the first), $2 limit. Names of threads that have a checkpoint. A range of names, one seek a chain.
SELECT t.name
  FROM perdure_threads t
 WHERE t.name > $1
   AND EXISTS (
         SELECT 1
           FROM perdure_chains c
           JOIN perdure_checkpoints k ON k.chain = c.no
          WHERE c.thread = t.no)
 ORDER BY t.name
 LIMIT $2;

-- name: checkpoint
-- $1 thread, $2 ns, $3 id. The row, its parent resolved. One seek a table.
SELECT k.id,
       CASE WHEN length(k.parent) = 0
            THEN (SELECT p.id FROM perdure_checkpoints p WHERE p.chain = k.chain AND p.id < k.id ORDER BY p.id DESC LIMIT 1)
            ELSE k.parent END,
       k.parent_ns, k.step, k.source, k.at, k.run, k.whole, k.seq, k.metadata, k.state
  FROM perdure_threads t
  JOIN perdure_chains c ON c.thread = t.no AND c.ns = $2
  JOIN perdure_checkpoints k ON k.chain = c.no AND k.id = $3
 WHERE t.name = $1;

-- name: following
-- $1 thread, $2 ns, $3 id. The row with the next greater id in the chain. One seek a table.
SELECT k.id,
       CASE WHEN length(k.parent) = 0
            THEN (SELECT p.id FROM perdure_checkpoints p WHERE p.chain = k.chain AND p.id < k.id ORDER BY p.id DESC LIMIT 1)
            ELSE k.parent END,
       k.parent_ns, k.step, k.source, k.at, k.run, k.whole, k.seq, k.metadata, k.state
  FROM perdure_threads t
  JOIN perdure_chains c ON c.thread = t.no AND c.ns = $2
  JOIN perdure_checkpoints k ON k.chain = c.no AND k.id > $3
 WHERE t.name = $1
 ORDER BY k.id
 LIMIT 1;

-- name: lineage
-- $1 thread, $2 ns, $3 id. The checkpoint and its ancestors, newest first, up to and with the first whole one, or until
-- one is missing. One seek an ancestor.
WITH RECURSIVE
  chain (no) AS (
    SELECT c.no
      FROM perdure_threads t
      JOIN perdure_chains c ON c.thread = t.no AND c.ns = $2
     WHERE t.name = $1),
  line (depth, chain, id, parent, whole) AS (
    SELECT 0, k.chain, k.id,
           CASE WHEN length(k.parent) = 0
                THEN (SELECT p.id FROM perdure_checkpoints p WHERE p.chain = k.chain AND p.id < k.id ORDER BY p.id DESC LIMIT 1)
                ELSE k.parent END,
           k.whole
      FROM chain
      JOIN perdure_checkpoints k ON k.chain = chain.no AND k.id = $3
    UNION ALL
    SELECT line.depth + 1, k.chain, k.id,
           CASE WHEN length(k.parent) = 0
                THEN (SELECT p.id FROM perdure_checkpoints p WHERE p.chain = k.chain AND p.id < k.id ORDER BY p.id DESC LIMIT 1)
                ELSE k.parent END,
           k.whole
      FROM line
      JOIN perdure_checkpoints k ON k.chain = line.chain AND k.id = line.parent
     WHERE line.whole = 0)
SELECT line.id, line.parent,
       k.parent_ns, k.step, k.source, k.at, k.run, k.whole, k.seq, k.metadata, k.state
  FROM line
  JOIN perdure_checkpoints k ON k.chain = line.chain AND k.id = line.id
 ORDER BY line.depth;

-- name: chain_checkpoints
-- $1 thread, $2 ns, $3 before (NULL: from the newest), $4 limit (-1: all). Rows of one chain, greatest id first. One range.
SELECT t.name, c.ns, k.id,
       CASE WHEN length(k.parent) = 0
            THEN (SELECT p.id FROM perdure_checkpoints p WHERE p.chain = k.chain AND p.id < k.id ORDER BY p.id DESC LIMIT 1)
            ELSE k.parent END,
       k.parent_ns, k.step, k.source, k.at, k.run, k.whole, k.seq, k.metadata, k.state
  FROM perdure_threads t
  JOIN perdure_chains c ON c.thread = t.no AND c.ns = $2
  JOIN perdure_checkpoints k ON k.chain = c.no AND k.id < coalesce($3::bytea, '\xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF'::bytea)
 WHERE t.name = $1
 ORDER BY k.id DESC
 LIMIT nullif($4::bigint, -1);

-- name: thread_checkpoints
-- $1 thread, $2 before (NULL: from the newest), $3 limit (-1: all). Rows of all chains of a thread, greatest id first.
-- At most `limit` rows of each chain are read, then sorted.
SELECT t.name, c.ns, k.id,
       CASE WHEN length(k.parent) = 0
            THEN (SELECT p.id FROM perdure_checkpoints p WHERE p.chain = k.chain AND p.id < k.id ORDER BY p.id DESC LIMIT 1)
            ELSE k.parent END,
       k.parent_ns, k.step, k.source, k.at, k.run, k.whole, k.seq, k.metadata, k.state
  FROM perdure_threads t
  JOIN perdure_chains c ON c.thread = t.no
  JOIN LATERAL (
         SELECT m.*
           FROM perdure_checkpoints m
          WHERE m.chain = c.no
            AND m.id < coalesce($2::bytea, '\xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF'::bytea)
          ORDER BY m.id DESC
          LIMIT nullif($3::bigint, -1)
       ) AS k ON TRUE
 WHERE t.name = $1
 ORDER BY k.id DESC, c.ns
 LIMIT nullif($3::bigint, -1);

-- name: all_checkpoints
-- $1 ns (NULL: any), $2 before (NULL: from the newest), $3 limit (-1: all). Rows of all threads, greatest id first.
-- No index on ids alone for a question of tests and tools. Scan: perdure_chains; at most `limit` rows of each chain are
-- read, then sorted.
SELECT t.name, c.ns, k.id,
       CASE WHEN length(k.parent) = 0
            THEN (SELECT p.id FROM perdure_checkpoints p WHERE p.chain = k.chain AND p.id < k.id ORDER BY p.id DESC LIMIT 1)
            ELSE k.parent END,
       k.parent_ns, k.step, k.source, k.at, k.run, k.whole, k.seq, k.metadata, k.state
  FROM perdure_chains c
  JOIN perdure_threads t ON t.no = c.thread
  JOIN LATERAL (
         SELECT m.*
           FROM perdure_checkpoints m
          WHERE m.chain = c.no
            AND m.id < coalesce($2::bytea, '\xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF'::bytea)
          ORDER BY m.id DESC
          LIMIT nullif($3::bigint, -1)
       ) AS k ON TRUE
 WHERE $1::bytea IS NULL
    OR c.ns = $1::bytea
 ORDER BY k.id DESC, t.name, c.ns
 LIMIT nullif($3::bigint, -1);

-- name: run
-- $1 thread, $2 id. One seek a table.
SELECT r.at, r.metadata
  FROM perdure_threads t
  JOIN perdure_runs r ON r.thread = t.no AND r.id = $2
 WHERE t.name = $1;

-- name: segments
-- $1 thread, $2 log, $3 below (at most 1 << 32). The log's segments with start < below, in order. One range.
SELECT s.place & 4294967295, s.count, s.kind, s.payload
  FROM perdure_threads t
  JOIN perdure_logs l ON l.thread = t.no AND l.log = $2
  JOIN perdure_segments s ON s.place >= l.no << 32 AND s.place < (l.no << 32) + $3
 WHERE t.name = $1
 ORDER BY s.place;

-- name: logs
-- $1 thread. (log, end), by log. One seek a log.
SELECT l.log, (s.place & 4294967295) + s.count
  FROM perdure_threads t
  JOIN perdure_logs l ON l.thread = t.no
  JOIN LATERAL (
         SELECT m.place, m.count
           FROM perdure_segments m
          WHERE m.place BETWEEN l.no << 32 AND (l.no << 32) | 4294967295
          ORDER BY m.place DESC
          LIMIT 1
       ) AS s ON TRUE
 WHERE t.name = $1
 ORDER BY l.log;

-- name: writes
-- $1 thread, $2 ns, $3 checkpoint. Its pending writes; the caller sorts them. One range.
SELECT w.task, w.idx, w.path, w.channel, w.payload
  FROM perdure_threads t
  JOIN perdure_chains c ON c.thread = t.no AND c.ns = $2
  JOIN perdure_writes w ON w.chain = c.no AND w.checkpoint = $3
 WHERE t.name = $1;

-- name: writes_of
-- Rows of (number, thread, ns, checkpoint). As `writes`, of many checkpoints, each with its number. One range a checkpoint.
SELECT wanted.number, w.task, w.idx, w.path, w.channel, w.payload
  FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bytea[]) AS wanted (number, thread, ns, checkpoint)
  JOIN perdure_threads t ON t.name = wanted.thread
  JOIN perdure_chains c ON c.thread = t.no AND c.ns = wanted.ns
  JOIN perdure_writes w ON w.chain = c.no AND w.checkpoint = wanted.checkpoint;

-- name: staged
-- $1 thread, $2 ns, $3 checkpoint. Its staged memory; the caller sorts it. One range.
SELECT s.task, s.idx, s.namespace, s.key, s.payload
  FROM perdure_threads t
  JOIN perdure_chains c ON c.thread = t.no AND c.ns = $2
  JOIN perdure_staged s ON s.chain = c.no AND s.checkpoint = $3
 WHERE t.name = $1;

-- ---- what the writer needs to know

-- name: find_chains
-- Rows of (thread, ns). Numbers of thread and chain, the head and its seq, each NULL if there is none; one row a pair, in any
-- order. This is how a group checks its members' heads with one question.
SELECT wanted.name, wanted.ns, t.no, c.no, k.id, k.seq
  FROM unnest($1::bytea[], $2::bytea[]) AS wanted (name, ns)
  LEFT JOIN perdure_threads t ON t.name = wanted.name
  LEFT JOIN perdure_chains c ON c.thread = t.no AND c.ns = wanted.ns
  LEFT JOIN LATERAL (
         SELECT h.id, h.seq FROM perdure_checkpoints h WHERE h.chain = c.no ORDER BY h.id DESC LIMIT 1
       ) AS k ON TRUE;

-- name: seq_of_checkpoint
-- $1 chain, $2 id. The checkpoint's seq. One seek.
SELECT seq FROM perdure_checkpoints WHERE chain = $1 AND id = $2;

-- name: newest_seq_of_thread
-- $1 thread's number. The greatest seq of its checkpoints, or NULL. Reads the thread's rows: asked before removals only.
SELECT max(k.seq)
  FROM perdure_chains c
  JOIN perdure_checkpoints k ON k.chain = c.no
 WHERE c.thread = $1;

-- name: find_logs
-- Rows of (thread's number, log). The numbers of those that exist. One seek a row.
SELECT l.thread, l.log, l.no
  FROM unnest($1::bigint[], $2::bigint[]) AS wanted (thread, log)
  JOIN perdure_logs l ON l.thread = wanted.thread AND l.log = wanted.log;

-- ---- rows in

-- name: add_commit
-- seq (0: the one that this transaction drew), id, at.
INSERT INTO perdure_commits (seq, id, at)
SELECT coalesce(nullif(new.seq, 0), currval('perdure_seq')), new.id, new.at
  FROM unnest($1::bigint[], $2::bytea[], $3::bigint[]) AS new (seq, id, at);

-- name: add_thread
-- no, name.
INSERT INTO perdure_threads (no, name)
SELECT * FROM unnest($1::bigint[], $2::bytea[]);

-- name: add_chain
-- no, thread, ns.
INSERT INTO perdure_chains (no, thread, ns)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]);

-- name: add_log
-- thread, log, no.
INSERT INTO perdure_logs (thread, log, no)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]);

-- name: add_run
-- thread, id, at, metadata. The first stands.
INSERT INTO perdure_runs (thread, id, at, metadata)
SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bytea[])
    ON CONFLICT (thread, id) DO NOTHING;

-- name: add_checkpoint
-- chain, id, parent, parent_ns, step, source, at, run, whole, seq (0: the one that this transaction drew), metadata, state.
-- Replaces the row that has this id.
INSERT INTO perdure_checkpoints
       (chain, id, parent, parent_ns, step, source, at, run, whole, seq, metadata, state)
SELECT new.chain, new.id, new.parent, new.parent_ns, new.step, new.source, new.at, new.run, new.whole,
       coalesce(nullif(new.seq, 0), currval('perdure_seq')), new.metadata, new.state
  FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bigint[], $6::bytea[], $7::bigint[], $8::bytea[],
              $9::bigint[], $10::bigint[], $11::bytea[], $12::bytea[])
       AS new (chain, id, parent, parent_ns, step, source, at, run, whole, seq, metadata, state)
    ON CONFLICT (chain, id) DO UPDATE
   SET parent = excluded.parent, parent_ns = excluded.parent_ns, step = excluded.step, source = excluded.source,
       at = excluded.at, run = excluded.run, whole = excluded.whole, seq = excluded.seq, metadata = excluded.metadata,
       state = excluded.state;

-- name: add_segment
-- place, count, kind, payload. An error if the place is taken: two writers of one log.
INSERT INTO perdure_segments (place, count, kind, payload)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[]);

-- name: add_write
-- chain, checkpoint, task, idx, path, channel, payload. The first stands where idx >= 0, else the last.
INSERT INTO perdure_writes (chain, checkpoint, task, idx, path, channel, payload)
SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bigint[], $5::bytea[], $6::bytea[], $7::bytea[])
    ON CONFLICT (chain, checkpoint, task, idx) DO UPDATE
   SET path = excluded.path, channel = excluded.channel, payload = excluded.payload
 WHERE excluded.idx < 0;

-- name: add_staged
-- chain, checkpoint, task, idx, namespace, key, payload. The first stands.
INSERT INTO perdure_staged (chain, checkpoint, task, idx, namespace, key, payload)
SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bigint[], $5::bytea[], $6::bytea[], $7::bytea[])
    ON CONFLICT (chain, checkpoint, task, idx) DO NOTHING;

-- name: name_parent_of_following
-- $1 chain, $2 id. The row behind `id` says "the id before me": from now on it says which. Before an insert or a delete
-- between the two. One seek.
UPDATE perdure_checkpoints
   SET parent = (SELECT p.id FROM perdure_checkpoints p WHERE p.chain = $1 AND p.id <= $2 ORDER BY p.id DESC LIMIT 1)
 WHERE chain = $1
   AND id = (SELECT f.id FROM perdure_checkpoints f WHERE f.chain = $1 AND f.id > $2 ORDER BY f.id LIMIT 1)
   AND length(parent) = 0;

-- ---- rows out

-- name: remove_writes
-- chain, checkpoint. Ordinary writes only. One range.
DELETE FROM perdure_writes t
 USING unnest($1::bigint[], $2::bytea[]) AS wanted (chain, checkpoint)
 WHERE t.chain = wanted.chain AND t.checkpoint = wanted.checkpoint AND t.idx >= 0;

-- name: remove_staged
-- chain, checkpoint. One range.
DELETE FROM perdure_staged t
 USING unnest($1::bigint[], $2::bytea[]) AS wanted (chain, checkpoint)
 WHERE t.chain = wanted.chain AND t.checkpoint = wanted.checkpoint;

-- name: remove_writes_of_task
-- chain, checkpoint, task. Ordinary writes only. One range.
DELETE FROM perdure_writes t
 USING unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS wanted (chain, checkpoint, task)
 WHERE t.chain = wanted.chain AND t.checkpoint = wanted.checkpoint AND t.task = wanted.task AND t.idx >= 0;

-- name: remove_staged_of_task
-- chain, checkpoint, task. One range.
DELETE FROM perdure_staged t
 USING unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS wanted (chain, checkpoint, task)
 WHERE t.chain = wanted.chain AND t.checkpoint = wanted.checkpoint AND t.task = wanted.task;

-- name: remove_checkpoint
-- chain, id. One seek.
DELETE FROM perdure_checkpoints WHERE chain = $1 AND id = $2;

-- name: remove_all_writes
-- chain, checkpoint. Errors and interrupts, too. One range.
DELETE FROM perdure_writes WHERE chain = $1 AND checkpoint = $2;

-- name: remove_segments
-- first place, end. One range.
DELETE FROM perdure_segments WHERE place >= $1 AND place < $2;

-- name: remove_empty_log
-- $1 thread, $2 log, $3 its number. If it has no segment left. One seek.
DELETE FROM perdure_logs
 WHERE thread = $1
   AND log = $2
   AND NOT EXISTS (
         SELECT 1 FROM perdure_segments s WHERE s.place BETWEEN $3 << 32 AND ($3 << 32) | 4294967295);

-- name: remove_run
-- $1 thread's number, $2 id.
DELETE FROM perdure_runs WHERE thread = $1 AND id = $2;

-- name: remove_thread_checkpoints
-- $1 thread's number. One range a chain.
DELETE FROM perdure_checkpoints WHERE chain IN (SELECT c.no FROM perdure_chains c WHERE c.thread = $1);

-- name: remove_thread_writes
-- $1 thread's number. One range a chain.
DELETE FROM perdure_writes WHERE chain IN (SELECT c.no FROM perdure_chains c WHERE c.thread = $1);

-- name: remove_thread_staged
-- $1 thread's number. One range a chain.
DELETE FROM perdure_staged WHERE chain IN (SELECT c.no FROM perdure_chains c WHERE c.thread = $1);

-- name: remove_thread_segments
-- $1 thread's number. One range a log.
DELETE FROM perdure_segments
 WHERE place IN (
         SELECT s.place
           FROM perdure_logs l
           JOIN perdure_segments s ON s.place BETWEEN l.no << 32 AND (l.no << 32) | 4294967295
          WHERE l.thread = $1);

-- name: remove_thread_logs
-- $1 thread's number. One range.
DELETE FROM perdure_logs WHERE thread = $1;

-- name: remove_thread_runs
-- $1 thread's number. One range.
DELETE FROM perdure_runs WHERE thread = $1;

-- name: remove_thread_chains
-- $1 thread's number. One range.
DELETE FROM perdure_chains WHERE thread = $1;

-- name: remove_thread
-- $1 thread's number. One seek.
DELETE FROM perdure_threads WHERE no = $1;
-- name: newest_seqs
-- $1 seq, $2 limit. Those of later commits, in order: the first question of every snapshot. One range.
SELECT seq FROM perdure_commits WHERE seq > $1 ORDER BY seq LIMIT $2;

-- name: seqs_of_commits
-- Rows of (id). Those commits that were made. One seek a row.
SELECT c.id, c.seq
  FROM unnest($1::bytea[]) AS wanted (id)
  JOIN perdure_commits c ON c.id = wanted.id;

-- name: find_logs_by_name
-- Rows of (thread, log). As `find_logs`, by the thread's name, so that it need not be asked for first.
SELECT l.thread, l.log, l.no
  FROM unnest($1::bytea[], $2::bigint[]) AS wanted (name, log)
  JOIN perdure_threads t ON t.name = wanted.name
  JOIN perdure_logs l ON l.thread = t.no AND l.log = wanted.log;

-- name: greatest_index
-- The greatest number of an index, 0 if there is none. One seek.
SELECT coalesce(max(no), 0) FROM perdure_indexes;

-- ---- counts

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
