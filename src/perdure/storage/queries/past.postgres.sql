-- Memory as it was: histories of items, and views as of a commit. Postgres: as in `past.sqlite.sql`.
-- Each version names the one before it, so the past is a walk down from the item's newest version (`line`). A version that
-- was pruned is a name without a row: `kept` false ends the line there.

-- name: seq_at
-- $1 microseconds, $2 seq. The newest commit made at or before, not behind that one. Scan: commits made since, newest
-- first.
SELECT seq FROM perdure_commits WHERE at <= $1 AND seq <= $2 ORDER BY seq DESC LIMIT 1;

-- name: time_of
-- $1 seq. When that commit was made. One seek.
SELECT at FROM perdure_commits WHERE seq = $1;

-- name: floor
-- The commit of the newest deletion that was pruned, or no row. One row.
SELECT seq FROM perdure_floor WHERE one = 1;

-- name: history
-- $1 namespace, $2 key, $3 limit. Kept versions, newest first, each with the name of the one before. One seek a version.
WITH RECURSIVE line (version, before, place) AS (
    SELECT v.version, v.before, 1::bigint
      FROM perdure_namespaces n
      JOIN perdure_items i ON i.id >> 32 = n.no AND i.key = $2
      JOIN perdure_versions v ON v.version = i.version
     WHERE n.name = $1
       AND $3 > 0
  UNION ALL
    SELECT v.version, v.before, line.place + 1
      FROM line
      JOIN perdure_versions v ON v.version = line.before
     WHERE line.place < $3
)
SELECT line.before, v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, NULL, v.expires, v.ttl
  FROM line
  JOIN perdure_versions v ON v.version = line.version
 ORDER BY v.version DESC;

-- name: item_at
-- $1 namespace, $2 key, $3 the first version that is not seen. The last two of the line that ends below $3, lowest first.
-- One seek a version.
WITH RECURSIVE line (version, before, kept) AS (
    SELECT v.version, v.before, TRUE
      FROM perdure_namespaces n
      JOIN perdure_items i ON i.id >> 32 = n.no AND i.key = $2
      JOIN perdure_versions v ON v.version = i.version
     WHERE n.name = $1
  UNION ALL
    SELECT line.before, v.before, v.version IS NOT NULL
      FROM line
      LEFT JOIN perdure_versions v ON v.version = line.before
     WHERE line.version >= $3
       AND line.before IS NOT NULL
),
lowest AS (SELECT * FROM line ORDER BY line.version LIMIT 2)
SELECT lowest.kept, lowest.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, NULL, v.expires, v.ttl
  FROM lowest
  LEFT JOIN perdure_versions v ON v.version = lowest.version
 ORDER BY lowest.version;

-- name: stood_of_few
-- $1 first namespace, $2 end, $3 the first version that is not seen, $4 the view's time. Of items that were written since: the
-- version that stood (kept) and had not expired, or that it was pruned (not kept), with the version above it. For subtrees
-- of few namespaces: one range of items a namespace, one seek a version written since.
WITH RECURSIVE line (item, version, before, kept, alive, above, expires) AS (
    SELECT i.id, v.version, v.before, TRUE, i.alive = 1, NULL::bigint, v.expires
      FROM perdure_namespaces n
      JOIN perdure_items i ON i.id BETWEEN n.no << 32 AND (n.no << 32) | 4294967295 AND i.version >= $3
      JOIN perdure_versions v ON v.version = i.version
     WHERE n.name >= $1
       AND n.name < $2
  UNION ALL
    SELECT line.item, line.before, v.before, v.version IS NOT NULL, v.value IS NOT NULL, line.version, v.expires
      FROM line
      LEFT JOIN perdure_versions v ON v.version = line.before
     WHERE line.version >= $3
       AND line.before IS NOT NULL
)
SELECT line.kept, line.version, line.above, n.name
  FROM line
  JOIN perdure_namespaces n ON n.no = line.item >> 32
 WHERE NOT line.kept
    OR (line.version < $3 AND line.alive AND (line.expires IS NULL OR line.expires > $4));

-- name: stood_of_many
-- As `stood_of_few`, for subtrees of many namespaces: one range of versions, one seek a table for each. (OFFSET 0: see `items_of_many`.)
WITH RECURSIVE line (item, version, before, kept, alive, above, expires) AS (
    SELECT v.item, v.version, v.before, TRUE, i.alive = 1, NULL::bigint, v.expires
      FROM perdure_versions v
      JOIN LATERAL (SELECT s.name FROM perdure_namespaces s WHERE s.no = v.item >> 32 OFFSET 0) AS n
        ON n.name >= $1 AND n.name < $2
      JOIN perdure_items i ON i.id = v.item AND i.version = v.version
     WHERE v.version >= $3
  UNION ALL
    SELECT line.item, line.before, v.before, v.version IS NOT NULL, v.value IS NOT NULL, line.version, v.expires
      FROM line
      LEFT JOIN perdure_versions v ON v.version = line.before
     WHERE line.version >= $3
       AND line.before IS NOT NULL
)
SELECT line.kept, line.version, line.above, n.name
  FROM line
  JOIN perdure_namespaces n ON n.no = line.item >> 32
 WHERE NOT line.kept
    OR (line.version < $3 AND line.alive AND (line.expires IS NULL OR line.expires > $4));

-- name: versions
-- Rows of (version). Those versions, greatest first. One seek a row and table.
SELECT n.name, i.key, v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, NULL, v.expires, v.ttl
  FROM unnest($1::bigint[]) AS wanted (version)
  JOIN perdure_versions v ON v.version = wanted.version
  JOIN perdure_items i ON i.id = v.item
  JOIN perdure_namespaces n ON n.no = v.item >> 32
 ORDER BY v.version DESC;

-- name: namespaces_untouched
-- $1 first, $2 end, $3 the first version that is not seen, $4 the view's time. Namespaces with a live item that was not
-- written since, and had not expired then. One range, one seek each.
SELECT n.name
  FROM perdure_namespaces n
 WHERE n.name >= $1
   AND n.name < $2
   AND EXISTS (
       SELECT 1
         FROM perdure_items i
        WHERE i.id >> 32 = n.no
          AND i.alive = 1
          AND i.version < $3
          AND (i.expires IS NULL OR i.expires > $4)
       OFFSET 0);

-- name: touched_of_few
-- $1 first namespace, $2 end, $3 first version. Items with a version from there on, in order of their newest. For subtrees
-- of few namespaces: one range of items a namespace.
SELECT n.name, i.key
  FROM perdure_namespaces n
  JOIN perdure_items i ON i.id BETWEEN n.no << 32 AND (n.no << 32) | 4294967295 AND i.version >= $3
 WHERE n.name >= $1
   AND n.name < $2
 ORDER BY i.version;

-- name: touched_of_many
-- $1 first namespace, $2 end, $3 first version, $4 thread or NULL. Items with a version from there on, of that thread if it
-- is given, in order of their newest. One range of versions; of each the columns before its value.
SELECT n.name, i.key
  FROM perdure_versions v
  JOIN LATERAL (SELECT s.name FROM perdure_namespaces s WHERE s.no = v.item >> 32 OFFSET 0) AS n
    ON n.name >= $1 AND n.name < $2
  JOIN perdure_items i ON i.id = v.item
 WHERE v.version >= $3
   AND ($4::bytea IS NULL OR v.thread = $4::bytea)
 GROUP BY i.id, n.name
 ORDER BY i.version;

-- name: newest_missing
-- $1 first namespace, $2 end, $3 first version. The greatest version from there on that was pruned and is still named by its
-- successor, or NULL. One range of versions; of each the columns before its value.
SELECT max(v.before)
  FROM perdure_versions v
  JOIN LATERAL (SELECT s.name FROM perdure_namespaces s WHERE s.no = v.item >> 32 OFFSET 0) AS n
    ON n.name >= $1 AND n.name < $2
 WHERE v.version >= $3
   AND v.before >= $3
   AND NOT EXISTS (SELECT 1 FROM perdure_versions kept WHERE kept.version = v.before);

-- ---- what the writer says

-- name: versions_beyond
-- $1 namespace, $2 key, $3 how many are kept, $4 limit. Older versions of the item, oldest first, and whether one is its newest:
-- its deletion, where one is kept. One seek a version.
WITH RECURSIVE line (item, version, before, place, gone) AS (
    SELECT i.id, v.version, v.before, 0::bigint, $3 = 1 AND i.alive = 0
      FROM perdure_namespaces n
      JOIN perdure_items i ON i.id >> 32 = n.no AND i.key = $2
      JOIN perdure_versions v ON v.version = i.version
     WHERE n.name = $1
  UNION ALL
    SELECT line.item, v.version, v.before, line.place + 1, line.gone
      FROM line
      JOIN perdure_versions v ON v.version = line.before
)
SELECT line.version, line.item, line.place = 0
  FROM line
 WHERE line.place >= $3
    OR line.gone
 ORDER BY line.version
 LIMIT $4;

-- name: raise_floor
-- $1 seq. Of older commits deleted items may be gone. One seek.
INSERT INTO perdure_floor AS f (one, seq) VALUES (1, $1)
    ON CONFLICT (one) DO UPDATE SET seq = greatest(f.seq, excluded.seq);
