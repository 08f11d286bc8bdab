-- What an operator asks: as in `admin.sqlite.sql`, and what Postgres says of itself. For `perdure db`: each scans.

-- name: largest_threads
-- $1 limit. (thread, checkpoints, bytes) of the threads with most bytes. Lengths are told without reading long values.
-- Scan: perdure_checkpoints, perdure_chains, perdure_logs, perdure_segments, perdure_writes, perdure_runs, perdure_threads.
SELECT t.name, sum(part.checkpoints)::bigint, sum(part.bytes)::bigint
  FROM (SELECT c.thread AS thread, count(*) AS checkpoints,
               sum(length(k.state) + coalesce(length(k.metadata), 0)) AS bytes
          FROM perdure_checkpoints k
          JOIN perdure_chains c ON c.no = k.chain
         GROUP BY c.thread
        UNION ALL
        SELECT l.thread, 0, sum(length(s.payload))
          FROM perdure_logs l
          JOIN perdure_segments s ON s.place >> 32 = l.no
         GROUP BY l.thread
        UNION ALL
        SELECT c.thread, 0, sum(length(w.payload))
          FROM perdure_writes w
          JOIN perdure_chains c ON c.no = w.chain
         GROUP BY c.thread
        UNION ALL
        SELECT r.thread, 0, sum(length(r.metadata))
          FROM perdure_runs r
         GROUP BY r.thread) AS part
  JOIN perdure_threads t ON t.no = part.thread
 WHERE t.name <> ''::bytea
 GROUP BY t.name
 ORDER BY 3 DESC, t.name
 LIMIT $1;

-- name: largest_namespaces
-- $1 limit. (namespace, items, versions, bytes) of the namespaces with most bytes. Scan: perdure_versions, perdure_namespaces.
SELECT n.name, count(*) FILTER (WHERE v.ended IS NULL), count(*), coalesce(sum(length(v.value)), 0)::bigint
  FROM perdure_versions v
  JOIN perdure_namespaces n ON n.no = v.item >> 32
 GROUP BY n.no, n.name
 ORDER BY 4 DESC, n.name
 LIMIT $1;

-- name: places_of_nobody
-- $1 limit. (thread, ns, checkpoint) that have pending writes or staged memory and no checkpoint; marks of ours, which stand at
-- the thread with the empty name, are none. Scan: perdure_writes, perdure_staged, perdure_chains, perdure_threads.
SELECT t.name, c.ns, part.checkpoint
  FROM (SELECT chain, checkpoint FROM perdure_writes
        UNION
        SELECT chain, checkpoint FROM perdure_staged) AS part
  JOIN perdure_chains c ON c.no = part.chain
  JOIN perdure_threads t ON t.no = c.thread
 WHERE t.name <> ''::bytea
   AND NOT EXISTS (SELECT 1 FROM perdure_checkpoints k WHERE k.chain = part.chain AND k.id = part.checkpoint)
 ORDER BY t.name, c.ns, part.checkpoint
 LIMIT $1;

-- name: embedded_as
-- Rows of (namespace, key). Version, model and vectors of each live item that has any; model 0 and no vectors: they are owed.
-- One seek a row and table.
SELECT wanted.namespace, wanted.key, i.version, i.model, x.name, v.data
  FROM unnest($1::bytea[], $2::bytea[]) AS wanted (namespace, key)
  JOIN perdure_namespaces n ON n.name = wanted.namespace
  JOIN perdure_items i ON i.id >> 32 = n.no AND i.key = wanted.key
  LEFT JOIN perdure_vectors v ON v.item = i.id
  LEFT JOIN perdure_indexes x ON x.no = i.model
 WHERE i.alive <> 0
   AND i.model IS NOT NULL;

-- ---- many at once

-- name: history_of_many
-- Rows of (number, namespace, key). Kept versions of each item, each with its number, in any order. One seek a version.
WITH RECURSIVE line (number, version, before) AS (
    SELECT wanted.number, v.version, v.before
      FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS wanted (number, namespace, key)
      JOIN perdure_namespaces n ON n.name = wanted.namespace
      JOIN perdure_items i ON i.id >> 32 = n.no AND i.key = wanted.key
      JOIN perdure_versions v ON v.version = i.version
  UNION ALL
    SELECT line.number, v.version, v.before
      FROM line
      JOIN perdure_versions v ON v.version = line.before
)
SELECT line.number, v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, NULL, v.expires, v.ttl
  FROM line
  JOIN perdure_versions v ON v.version = line.version;

-- name: item_of_many
-- Rows of (number, namespace, key); $4 now. As `item`, of each that lives, with its number. One seek a row and table (OFFSET 0).
SELECT wanted.number, v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, i.paths, v.expires, v.ttl
  FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS wanted (number, namespace, key)
  JOIN perdure_namespaces n ON n.name = wanted.namespace
  JOIN LATERAL (
         SELECT s.version, s.paths, s.alive, s.expires FROM perdure_items s WHERE s.id >> 32 = n.no AND s.key = wanted.key OFFSET 0
       ) AS i ON i.alive = 1 AND (i.expires IS NULL OR i.expires > $4)
  JOIN perdure_versions v ON v.version = i.version;

-- name: time_of_many
-- Rows of (seq). When each of these commits was made, of those that are there. One seek a row.
SELECT c.seq, c.at
  FROM unnest($1::bigint[]) AS wanted (seq)
  JOIN perdure_commits c ON c.seq = wanted.seq;

-- name: staged_of
-- Rows of (number, thread, ns, checkpoint). As `staged`, of many checkpoints, each with its number. One range a checkpoint.
SELECT wanted.number, s.task, s.idx, s.namespace, s.key, s.payload
  FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bytea[]) AS wanted (number, thread, ns, checkpoint)
  JOIN perdure_threads t ON t.name = wanted.thread
  JOIN perdure_chains c ON c.thread = t.no AND c.ns = wanted.ns
  JOIN perdure_staged s ON s.chain = c.no AND s.checkpoint = wanted.checkpoint;

-- name: segments_of
-- $1 thread. (log, start, count, kind, payload) of all segments of all its logs, in order. One range a log.
SELECT l.log, s.place & 4294967295, s.count, s.kind, s.payload
  FROM perdure_threads t
  JOIN perdure_logs l ON l.thread = t.no
  JOIN perdure_segments s ON s.place >= l.no << 32 AND s.place < (l.no + 1) << 32
 WHERE t.name = $1
 ORDER BY l.log, s.place;

-- name: run_of_many
-- Rows of (number, thread, id). As `run`, of each that is there, with its number. One seek a row and table.
SELECT wanted.number, r.at, r.metadata
  FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS wanted (number, thread, id)
  JOIN perdure_threads t ON t.name = wanted.thread
  JOIN perdure_runs r ON r.thread = t.no AND r.id = wanted.id;

-- ---- the server

-- name: what_it_is
-- Settings and sizes, as this session sees them. The sizes of all files of the database are asked of its file system.
SELECT current_setting('server_version'),
       current_user::text,
       current_setting('synchronous_commit'),
       pg_is_in_recovery(),
       pg_database_size(current_database()),
       (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()),
       current_setting('max_connections'),
       current_setting('data_checksums'),
       (SELECT extversion FROM pg_extension WHERE extname = 'vector'),
       (SELECT default_version FROM pg_available_extensions WHERE name = 'vector');

-- name: as_replica
-- Of a server that may be a replica: (place in the primary's log up to which it shows all commits, seq of the newest, whether replay is
-- paused, whether it is connected to whom it follows). NULL: it is none.
SELECT CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint END,
       coalesce((SELECT max(c.seq) FROM perdure_commits c), 0),
       CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END,
       EXISTS (SELECT 1 FROM pg_stat_wal_receiver);

-- name: newest_commit
-- Seq of the newest commit that can be seen; NULL: there is none.
SELECT max(c.seq) FROM perdure_commits c;

-- name: oldest_between
-- $1 and $2: seqs. When the first commit behind the one and up to the other was made.
SELECT c.at FROM perdure_commits c WHERE c.seq > $1 AND c.seq <= $2 ORDER BY c.seq LIMIT 1;

-- name: numbers_given
-- The last numbers that were given to logs and to namespaces; whoever asked for a block has the next 31 as well. One row each.
SELECT (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM perdure_log_no),
       (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM perdure_namespace_no);

-- name: bytes_of_tables
-- $1 schema. (table, bytes) of each table of ours, with its indexes and its long values; of sequences, too. Partitions are their table's.
SELECT coalesce(p.relname, c.relname)::text, sum(pg_total_relation_size(c.oid))::bigint
  FROM pg_class c
  LEFT JOIN pg_class p ON p.oid = pg_partition_root(c.oid)
 WHERE c.relnamespace = (SELECT n.oid FROM pg_namespace n WHERE n.nspname = $1)
   AND c.relname LIKE 'perdure\_%'
   AND c.relkind IN ('r', 'S')
 GROUP BY 1;

-- name: relations
-- $1 schema. (name, kind, whether it can be used) of each table, index and sequence of ours. An index that was being built when its
-- CREATE INDEX CONCURRENTLY failed stays, costs what an index costs, and is never used. Kind x: an index that is no tree, or what has
-- all that it holds in partitions.
SELECT c.relname::text,
       CASE WHEN c.relkind IN ('p', 'I') OR (c.relkind = 'i' AND a.amname <> 'btree') THEN 'x' ELSE c.relkind::text END, coalesce(i.indisvalid AND i.indisready AND i.indislive, true)
  FROM pg_class c
  LEFT JOIN pg_index i ON i.indexrelid = c.oid
  LEFT JOIN pg_class t ON t.oid = i.indrelid
  LEFT JOIN pg_am a ON a.oid = c.relam
 WHERE c.relnamespace = (SELECT n.oid FROM pg_namespace n WHERE n.nspname = $1)
   AND coalesce(t.relname, c.relname) LIKE 'perdure\_%'
   AND c.relkind IN ('r', 'p', 'i', 'I', 'S')
 ORDER BY 1;

-- name: failed_checksums
-- How many pages of the database were found to be damaged when they were read, as far as its statistics go back; NULL: the server
-- was told to keep no checksums.
SELECT checksum_failures FROM pg_stat_database WHERE datname = current_database();

-- name: checkers
-- The schema, as a name of SQL, in which the extension amcheck has its functions, if this role may call them.
SELECT format('%I', n.nspname)
  FROM pg_extension e
  JOIN pg_namespace n ON n.oid = e.extnamespace
 WHERE CASE WHEN e.extname = 'amcheck'
            THEN has_function_privilege(format('%I.bt_index_check(regclass, boolean)', n.nspname), 'execute')
             AND has_function_privilege(
                   format('%I.verify_heapam(regclass, boolean, boolean, text, bigint, bigint)', n.nspname), 'execute')
       END;

-- ---- scrubbing

-- name: tables
-- $1 schema. (name as SQL has it, whether this role may vacuum it) of each table of ours.
-- https://www.postgresql.org/docs/current/sql-vacuum.html
SELECT format('%I.%I', $1::text, c.relname),
       pg_has_role(c.relowner, 'USAGE')
    OR pg_has_role((SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE')
    OR CASE WHEN current_setting('server_version_num')::int >= 170000 THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE false END
  FROM pg_class c
 WHERE c.relnamespace = (SELECT n.oid FROM pg_namespace n WHERE n.nspname = $1::text)
   AND c.relname LIKE 'perdure\_%'
   AND c.relkind = 'r'
 ORDER BY c.relname;

-- name: this_moment
-- The number of a transaction that begins and ends now: whatever was committed before, later transactions see.
SELECT pg_current_xact_id()::text;

-- name: older_readers
-- $1 what `this_moment` has said. A row if anybody may still read rows that were deleted before it: a transaction under way in this
-- database, one that was prepared, a replica that tells what it reads. Whoever vacuums is left out: its own age keeps nothing.
SELECT 1
  FROM (SELECT backend_xmin AS x, pid, datname, backend_type FROM pg_stat_activity
        UNION ALL
        SELECT backend_xid, pid, datname, backend_type FROM pg_stat_activity
        UNION ALL
        SELECT transaction, 0, database, '' FROM pg_prepared_xacts
        UNION ALL
        SELECT xmin, 0, current_database(), '' FROM pg_replication_slots) AS held
 WHERE x IS NOT NULL
   AND age(x) > age($1::text::xid8::xid)
   AND (datname = current_database() OR backend_type = 'walsender')
   AND pid <> pg_backend_pid()
   AND pid NOT IN (SELECT v.pid FROM pg_stat_progress_vacuum v WHERE v.pid IS NOT NULL)
 LIMIT 1;
