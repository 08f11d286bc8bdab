-- Commits, threads, checkpoints, segments, pending writes. SQLite.
-- Values are numbered (?1) or in order (?): sequences are bound faster than names, and order is stated per block.
-- Each block seeks; where one scans, its comment says `Scan:` and what. A test runs EXPLAIN QUERY PLAN on all of them.

-- name: newest_seq
-- The newest commit's number, 0 before the first. The first question of every snapshot. One seek.
SELECT coalesce(max(seq), 0) FROM perdure_commits;

-- name: seq_of_commit
-- ?1 id. The revision of a commit, newest first. Asked only when an outcome is unknown, so it has no index (28 bytes a
-- commit). Scan: perdure_commits, 35 bytes a row.
SELECT seq
  FROM perdure_commits
 WHERE id = ?1
 ORDER BY seq DESC
 LIMIT 1;

-- name: is_commit
-- ?1 seq, ?2 id. A row if the commit of that number is this one. One seek.
SELECT seq FROM perdure_commits WHERE seq = ?1 AND id = ?2;

-- name: head
-- ?1 thread, ?2 ns. The chain's greatest id, and its seq. One seek a table.
SELECT k.id, k.seq
  FROM perdure_threads t
  JOIN perdure_chains c ON c.thread = t.no AND c.ns = ?2
  JOIN perdure_checkpoints k ON k.chain = c.no
 WHERE t.name = ?1
 ORDER BY k.id DESC
 LIMIT 1;

-- name: heads
-- ?1 thread. (ns, head) of its chains that have one, by ns. One seek a chain.
SELECT c.ns, max(k.id)
  FROM perdure_threads t
  JOIN perdure_chains c ON c.thread = t.no
  JOIN perdure_checkpoints k
    ON k.chain = c.no
   AND k.id = (SELECT max(h.id) FROM perdure_checkpoints h WHERE h.chain = c.no)
 WHERE t.name = ?1
 GROUP BY c.ns
 ORDER BY c.ns;

-- name: threads
-- ?1 after (empty: from the first), ?2 limit. Names of threads that have a checkpoint. A range of names, one seek a chain.
SELECT t.name
  FROM perdure_threads t
 WHERE t.name > ?1
   AND EXISTS (
         SELECT 1
           FROM perdure_chains c
           JOIN perdure_checkpoints k ON k.chain = c.no
          WHERE c.thread = t.no)
 ORDER BY t.name
 LIMIT ?2;

-- name: checkpoint
-- ?1 thread, ?2 ns, ?3 id. The row, its parent resolved. One seek a table.
SELECT k.id,
       CASE WHEN length(k.parent) = 0
            THEN (SELECT max(p.id) FROM perdure_checkpoints p WHERE p.chain = k.chain AND p.id < k.id)
            ELSE k.parent END,
       k.parent_ns, k.step, k.source, k.at, k.run, k.whole, k.seq, k.metadata, k.state
  FROM perdure_threads t
  JOIN perdure_chains c ON c.thread = t.no AND c.ns = ?2
  JOIN perdure_checkpoints k ON k.chain = c.no AND k.id = ?3
 WHERE t.name = ?1;

-- name: following
-- ?1 thread, ?2 ns, ?3 id. The row with the next greater id in the chain. One seek a table.
SELECT k.id,
       CASE WHEN length(k.parent) = 0
            THEN (SELECT max(p.id) FROM perdure_checkpoints p WHERE p.chain = k.chain AND p.id < k.id)
            ELSE k.parent END,
       k.parent_ns, k.step, k.source, k.at, k.run, k.whole, k.seq, k.metadata, k.state
  FROM perdure_threads t
  JOIN perdure_chains c ON c.thread = t.no AND c.ns = ?2
  JOIN perdure_checkpoints k ON k.chain = c.no AND k.id > ?3
 WHERE t.name = ?1
 ORDER BY k.id
 LIMIT 1;

-- name: lineage
-- ?1 thread, ?2 ns, ?3 id. The checkpoint and its ancestors, newest first, up to and with the first whole one, or until
-- one is missing. One seek an ancestor.
WITH RECURSIVE
  chain (no) AS (
    SELECT c.no
      FROM perdure_threads t
      JOIN perdure_chains c ON c.thread = t.no AND c.ns = ?2
     WHERE t.name = ?1),
  line (depth, chain, id, parent, whole) AS (
    SELECT 0, k.chain, k.id,
           CASE WHEN length(k.parent) = 0
                THEN (SELECT max(p.id) FROM perdure_checkpoints p WHERE p.chain = k.chain AND p.id < k.id)
                ELSE k.parent END,
           k.whole
      FROM chain
      JOIN perdure_checkpoints k ON k.chain = chain.no AND k.id = ?3
    UNION ALL
    SELECT line.depth + 1, k.chain, k.id,
           CASE WHEN length(k.parent) = 0
                THEN (SELECT max(p.id) FROM perdure_checkpoints p WHERE p.chain = k.chain AND p.id < k.id)
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
-- ?1 thread, ?2 ns, ?3 before (NULL: from the newest), ?4 limit (-1: all). Rows of one chain, greatest id first. One range.
SELECT t.name, c.ns, k.id,
       CASE WHEN length(k.parent) = 0
            THEN (SELECT max(p.id) FROM perdure_checkpoints p WHERE p.chain = k.chain AND p.id < k.id)
            ELSE k.parent END,
       k.parent_ns, k.step, k.source, k.at, k.run, k.whole, k.seq, k.metadata, k.state
  FROM perdure_threads t
  JOIN perdure_chains c ON c.thread = t.no AND c.ns = ?2
  JOIN perdure_checkpoints k ON k.chain = c.no AND k.id < coalesce(?3, x'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF')
 WHERE t.name = ?1
 ORDER BY k.id DESC
 LIMIT ?4;

-- name: thread_checkpoints
-- ?1 thread, ?2 before (NULL: from the newest), ?3 limit (-1: all). Rows of all chains of a thread, greatest id first.
-- At most `limit` rows of each chain are read, then sorted.
SELECT t.name, c.ns, k.id,
       CASE WHEN length(k.parent) = 0
            THEN (SELECT max(p.id) FROM perdure_checkpoints p WHERE p.chain = k.chain AND p.id < k.id)
            ELSE k.parent END,
       k.parent_ns, k.step, k.source, k.at, k.run, k.whole, k.seq, k.metadata, k.state
  FROM perdure_threads t
  JOIN perdure_chains c ON c.thread = t.no
  JOIN perdure_checkpoints k
    ON k.chain = c.no
   AND k.id IN (
         SELECT m.id
           FROM perdure_checkpoints m
          WHERE m.chain = c.no
            AND m.id < coalesce(?2, x'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF')
          ORDER BY m.id DESC
          LIMIT ?3)
 WHERE t.name = ?1
 ORDER BY k.id DESC, c.ns
 LIMIT ?3;

-- name: all_checkpoints
-- ?1 ns (NULL: any), ?2 before (NULL: from the newest), ?3 limit (-1: all). Rows of all threads, greatest id first.
-- No index on ids alone (30 bytes a checkpoint) for a question of tests and tools. Scan: perdure_chains; at most `limit`
-- rows of each chain are read, then sorted.
SELECT t.name, c.ns, k.id,
       CASE WHEN length(k.parent) = 0
            THEN (SELECT max(p.id) FROM perdure_checkpoints p WHERE p.chain = k.chain AND p.id < k.id)
            ELSE k.parent END,
       k.parent_ns, k.step, k.source, k.at, k.run, k.whole, k.seq, k.metadata, k.state
  FROM perdure_chains c
  JOIN perdure_threads t ON t.no = c.thread
  JOIN perdure_checkpoints k
    ON k.chain = c.no
   AND k.id IN (
         SELECT m.id
           FROM perdure_checkpoints m
          WHERE m.chain = c.no
            AND m.id < coalesce(?2, x'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF')
          ORDER BY m.id DESC
          LIMIT ?3)
 WHERE ?1 IS NULL OR c.ns = ?1
 ORDER BY k.id DESC, t.name, c.ns
 LIMIT ?3;

-- name: run
-- ?1 thread, ?2 id. One seek a table.
SELECT r.at, r.metadata
  FROM perdure_threads t
  JOIN perdure_runs r ON r.thread = t.no AND r.id = ?2
 WHERE t.name = ?1;

-- name: segments
-- ?1 thread, ?2 log, ?3 below (at most 1 << 32). The log's segments with start < below, in order. One range.
SELECT s.place & 4294967295, s.count, s.kind, s.payload
  FROM perdure_threads t
  JOIN perdure_logs l ON l.thread = t.no AND l.log = ?2
  JOIN perdure_segments s ON s.place >= l.no << 32 AND s.place < (l.no << 32) + ?3
 WHERE t.name = ?1
 ORDER BY s.place;

-- name: logs
-- ?1 thread. (log, end), by log. One seek a log.
SELECT l.log, (s.place & 4294967295) + s.count
  FROM perdure_threads t
  JOIN perdure_logs l ON l.thread = t.no
  JOIN perdure_segments s
    ON s.place = (
         SELECT max(m.place)
           FROM perdure_segments m
          WHERE m.place BETWEEN l.no << 32 AND (l.no << 32) | 4294967295)
 WHERE t.name = ?1
 ORDER BY l.log;

-- name: writes
-- ?1 thread, ?2 ns, ?3 checkpoint. Its pending writes; the caller sorts them. One range.
SELECT w.task, w.idx, w.path, w.channel, w.payload
  FROM perdure_threads t
  JOIN perdure_chains c ON c.thread = t.no AND c.ns = ?2
  JOIN perdure_writes w ON w.chain = c.no AND w.checkpoint = ?3
 WHERE t.name = ?1;

-- name: writes_of
-- Rows of (number, thread, ns, checkpoint). As `writes`, of many checkpoints, each with its number. One range a checkpoint.
WITH wanted (number, thread, ns, checkpoint) AS (VALUES
    (?, ?, ?, ?) -- repeat
)
SELECT wanted.number, w.task, w.idx, w.path, w.channel, w.payload
  FROM wanted
 CROSS JOIN perdure_threads t ON t.name = wanted.thread
 CROSS JOIN perdure_chains c ON c.thread = t.no AND c.ns = wanted.ns
 CROSS JOIN perdure_writes w ON w.chain = c.no AND w.checkpoint = wanted.checkpoint;

-- name: staged
-- ?1 thread, ?2 ns, ?3 checkpoint. Its staged memory; the caller sorts it. One range.
SELECT s.task, s.idx, s.namespace, s.key, s.payload
  FROM perdure_threads t
  JOIN perdure_chains c ON c.thread = t.no AND c.ns = ?2
  JOIN perdure_staged s ON s.chain = c.no AND s.checkpoint = ?3
 WHERE t.name = ?1;

-- ---- what the writer needs to know

-- name: find_chains
-- Rows of (thread, ns). Numbers of thread and chain, the head and its seq, each NULL if there is none; one row a pair, in any
-- order. This is how a group checks its members' heads with one question.
WITH wanted (name, ns) AS (VALUES
    (?, ?) -- repeat
)
SELECT wanted.name, wanted.ns, t.no, c.no,
       (SELECT max(k.id) FROM perdure_checkpoints k WHERE k.chain = c.no),
       (SELECT k.seq FROM perdure_checkpoints k WHERE k.chain = c.no ORDER BY k.id DESC LIMIT 1)
  FROM wanted
  LEFT JOIN perdure_threads t ON t.name = wanted.name
  LEFT JOIN perdure_chains c ON c.thread = t.no AND c.ns = wanted.ns;

-- name: seq_of_checkpoint
-- ?1 chain, ?2 id. The checkpoint's seq. One seek.
SELECT seq FROM perdure_checkpoints WHERE chain = ?1 AND id = ?2;

-- name: newest_seq_of_thread
-- ?1 thread's number. The greatest seq of its checkpoints, or NULL. Reads the thread's rows: asked before removals only.
SELECT max(k.seq)
  FROM perdure_chains c
  JOIN perdure_checkpoints k ON k.chain = c.no
 WHERE c.thread = ?1;

-- name: find_logs
-- Rows of (thread's number, log). The numbers of those that exist. One seek a row.
WITH wanted (thread, log) AS (VALUES
    (?, ?) -- repeat
)
SELECT l.thread, l.log, l.no
  FROM wanted
  JOIN perdure_logs l ON l.thread = wanted.thread AND l.log = wanted.log;

-- name: greatest_numbers
-- The greatest number of a thread, a chain, a log, a namespace, an index. One seek each.
SELECT coalesce((SELECT max(no) FROM perdure_threads), 0),
       coalesce((SELECT max(no) FROM perdure_chains), 0),
       coalesce((SELECT max(place) FROM perdure_segments), 0) >> 32,
       coalesce((SELECT max(no) FROM perdure_namespaces), 0),
       coalesce((SELECT max(no) FROM perdure_indexes), 0);

-- ---- rows in

-- name: add_commit
-- seq, id, at. An error if the number is taken: somebody else committed since it was found.
INSERT INTO perdure_commits (seq, id, at) VALUES (?, ?, ?);

-- name: add_thread
-- no, name.
INSERT INTO perdure_threads (no, name) VALUES (?, ?);

-- name: add_chain
-- no, thread, ns.
INSERT INTO perdure_chains (no, thread, ns) VALUES (?, ?, ?);

-- name: add_log
-- thread, log, no.
INSERT INTO perdure_logs (thread, log, no) VALUES (?, ?, ?);

-- name: add_run
-- thread, id, at, metadata. The first stands.
INSERT INTO perdure_runs (thread, id, at, metadata) VALUES (?, ?, ?, ?)
    ON CONFLICT (thread, id) DO NOTHING;

-- name: add_checkpoint
-- chain, id, parent, parent_ns, step, source, at, run, whole, seq, metadata, state. Replaces the row that has this id.
INSERT OR REPLACE INTO perdure_checkpoints
       (chain, id, parent, parent_ns, step, source, at, run, whole, seq, metadata, state)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: add_segment
-- place, count, kind, payload. An error if the place is taken: two writers of one log.
INSERT INTO perdure_segments (place, count, kind, payload) VALUES (?, ?, ?, ?);

-- name: add_write
-- chain, checkpoint, task, idx, path, channel, payload. The first stands where idx >= 0, else the last.
INSERT INTO perdure_writes (chain, checkpoint, task, idx, path, channel, payload) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (chain, checkpoint, task, idx) DO UPDATE
   SET path = excluded.path, channel = excluded.channel, payload = excluded.payload
 WHERE excluded.idx < 0;

-- name: add_staged
-- chain, checkpoint, task, idx, namespace, key, payload. The first stands.
INSERT INTO perdure_staged (chain, checkpoint, task, idx, namespace, key, payload) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (chain, checkpoint, task, idx) DO NOTHING;

-- name: name_parent_of_following
-- ?1 chain, ?2 id. The row behind `id` says "the id before me": from now on it says which. Before an insert or a delete
-- between the two. One seek.
UPDATE perdure_checkpoints
   SET parent = (SELECT max(p.id) FROM perdure_checkpoints p WHERE p.chain = ?1 AND p.id <= ?2)
 WHERE chain = ?1
   AND id = (SELECT min(f.id) FROM perdure_checkpoints f WHERE f.chain = ?1 AND f.id > ?2)
   AND length(parent) = 0;

-- ---- rows out

-- name: remove_writes
-- chain, checkpoint. Ordinary writes only. One range.
DELETE FROM perdure_writes WHERE chain = ? AND checkpoint = ? AND idx >= 0;

-- name: remove_staged
-- chain, checkpoint. One range.
DELETE FROM perdure_staged WHERE chain = ? AND checkpoint = ?;

-- name: remove_writes_of_task
-- chain, checkpoint, task. Ordinary writes only. One range.
DELETE FROM perdure_writes WHERE chain = ? AND checkpoint = ? AND task = ? AND idx >= 0;

-- name: remove_staged_of_task
-- chain, checkpoint, task. One range.
DELETE FROM perdure_staged WHERE chain = ? AND checkpoint = ? AND task = ?;

-- name: remove_checkpoint
-- chain, id. One seek.
DELETE FROM perdure_checkpoints WHERE chain = ? AND id = ?;

-- name: remove_all_writes
-- chain, checkpoint. Errors and interrupts, too. One range.
DELETE FROM perdure_writes WHERE chain = ? AND checkpoint = ?;

-- name: remove_segments
-- first place, end. One range.
DELETE FROM perdure_segments WHERE place >= ? AND place < ?;

-- name: remove_empty_log
-- ?1 thread, ?2 log, ?3 its number. If it has no segment left. One seek.
DELETE FROM perdure_logs
 WHERE thread = ?1
   AND log = ?2
   AND NOT EXISTS (
         SELECT 1 FROM perdure_segments s WHERE s.place BETWEEN ?3 << 32 AND (?3 << 32) | 4294967295);

-- name: remove_run
-- ?1 thread's number, ?2 id.
DELETE FROM perdure_runs WHERE thread = ?1 AND id = ?2;

-- name: remove_thread_checkpoints
-- ?1 thread's number. One range a chain.
DELETE FROM perdure_checkpoints WHERE chain IN (SELECT c.no FROM perdure_chains c WHERE c.thread = ?1);

-- name: remove_thread_writes
-- ?1 thread's number. One range a chain.
DELETE FROM perdure_writes WHERE chain IN (SELECT c.no FROM perdure_chains c WHERE c.thread = ?1);

-- name: remove_thread_staged
-- ?1 thread's number. One range a chain.
DELETE FROM perdure_staged WHERE chain IN (SELECT c.no FROM perdure_chains c WHERE c.thread = ?1);

-- name: remove_thread_segments
-- ?1 thread's number. One range a log.
DELETE FROM perdure_segments
 WHERE place IN (
         SELECT s.place
           FROM perdure_logs l
           JOIN perdure_segments s ON s.place BETWEEN l.no << 32 AND (l.no << 32) | 4294967295
          WHERE l.thread = ?1);

-- name: remove_thread_logs
-- ?1 thread's number. One range.
DELETE FROM perdure_logs WHERE thread = ?1;

-- name: remove_thread_runs
-- ?1 thread's number. One range.
DELETE FROM perdure_runs WHERE thread = ?1;

-- name: remove_thread_chains
-- ?1 thread's number. One range.
DELETE FROM perdure_chains WHERE thread = ?1;

-- name: remove_thread
-- ?1 thread's number. One seek.
DELETE FROM perdure_threads WHERE no = ?1;
