-- What an operator asks: how much there is and where, and what hangs on nothing. SQLite. For `perdure db`: each scans.

-- name: largest_threads
-- ?1 limit. (thread, checkpoints, bytes) of the threads with most bytes. Lengths are in the rows' headers, so that long values
-- are not read. Scan: perdure_checkpoints, perdure_logs, perdure_writes, perdure_runs.
SELECT t.name, sum(part.checkpoints), sum(part.bytes)
  FROM (SELECT c.thread AS thread, count(*) AS checkpoints,
               sum(length(k.state) + coalesce(length(k.metadata), 0)) AS bytes
          FROM perdure_checkpoints k
          JOIN perdure_chains c ON c.no = k.chain
         GROUP BY c.thread
        UNION ALL
        SELECT l.thread, 0, sum(length(s.payload))
          FROM perdure_logs l
          JOIN perdure_segments s ON s.place BETWEEN l.no << 32 AND (l.no << 32) | 4294967295
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
 WHERE t.name <> x''
 GROUP BY t.name
 ORDER BY 3 DESC, t.name
 LIMIT ?1;

-- name: largest_namespaces
-- ?1 limit. (namespace, items, versions, bytes) of the namespaces with most bytes. Scan: perdure_versions.
SELECT n.name, count(*) FILTER (WHERE v.ended IS NULL), count(*), coalesce(sum(length(v.value)), 0)
  FROM perdure_versions v
  JOIN perdure_namespaces n ON n.no = v.item >> 32
 GROUP BY n.no
 ORDER BY 4 DESC, n.name
 LIMIT ?1;

-- name: places_of_nobody
-- ?1 limit. (thread, ns, checkpoint) that have pending writes or staged memory and no checkpoint; marks of ours, which stand at
-- the thread with the empty name, are none. Scan: perdure_writes, perdure_staged.
SELECT t.name, c.ns, part.checkpoint
  FROM (SELECT chain, checkpoint FROM perdure_writes
        UNION
        SELECT chain, checkpoint FROM perdure_staged) AS part
  JOIN perdure_chains c ON c.no = part.chain
  JOIN perdure_threads t ON t.no = c.thread
 WHERE t.name <> x''
   AND NOT EXISTS (SELECT 1 FROM perdure_checkpoints k WHERE k.chain = part.chain AND k.id = part.checkpoint)
 ORDER BY t.name, c.ns, part.checkpoint
 LIMIT ?1;

-- name: embedded_as
-- Rows of (namespace, key). Version, model and vectors of each live item that has any; model 0 and no vectors: they are owed.
-- One seek a row and table.
WITH wanted (namespace, key) AS (VALUES
    (?, ?) -- repeat
)
SELECT wanted.namespace, wanted.key, i.version, i.model, x.name, v.data
  FROM wanted
  JOIN perdure_namespaces n ON n.name = wanted.namespace
  JOIN perdure_items i ON i.id >> 32 = +n.no AND i.key = wanted.key
  LEFT JOIN perdure_vectors v ON v.item = i.id
  LEFT JOIN perdure_indexes x ON x.no = i.model
 WHERE i.alive = 1
   AND i.model IS NOT NULL;
