-- Memory across threads: items, their versions, namespaces. SQLite.
-- Values are numbered (?1) or in order (?): sequences are bound faster than names, and order is stated per block.
-- `id >> 32 = +n.no`: the plus takes the column's affinity away, without which an index on an expression is not used.
-- `now`: microseconds; a live item whose `expires` is not after it is left out.
-- Each block seeks; where one scans, its comment says `Scan:` and what. A test runs EXPLAIN QUERY PLAN on all of them.

-- name: item
-- ?1 namespace, ?2 key, ?3 now. The live version. One seek a table.
SELECT v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, i.paths, v.expires, v.ttl
  FROM perdure_namespaces n
  JOIN perdure_items i ON i.id >> 32 = +n.no AND i.key = ?2
  JOIN perdure_versions v ON v.version = i.version
 WHERE n.name = ?1
   AND i.alive = 1
   AND (i.expires IS NULL OR i.expires > ?3);

-- name: count_namespaces
-- ?1 first, ?2 end, ?3 limit. Whether a subtree has many namespaces: how `items` is asked. One range, at most `limit` rows.
SELECT count(*)
  FROM (SELECT 1 FROM perdure_namespaces n WHERE n.name >= ?1 AND n.name < ?2 LIMIT ?3);

-- name: items_of_few
-- ?1 first namespace, ?2 end, ?3 before (a version), ?4 limit, ?5 now. Live items, greatest version first. At most `limit` rows of
-- each namespace are read, then sorted: for subtrees of few namespaces.
SELECT n.name, i.key, v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, i.paths, v.expires, v.ttl
  FROM perdure_namespaces n
  JOIN perdure_items i
    ON i.id IN (
         SELECT m.id
           FROM perdure_items m
          WHERE m.id >> 32 = +n.no
            AND m.alive = 1
            AND m.version < ?3
            AND (m.expires IS NULL OR m.expires > ?5)
          ORDER BY m.version DESC
          LIMIT ?4)
  JOIN perdure_versions v ON v.version = i.version
 WHERE n.name >= ?1
   AND n.name < ?2
 ORDER BY i.version DESC
 LIMIT ?4;

-- name: items_of_many
-- As `items_of_few`, for subtrees of many namespaces: versions downwards, those that are live and inside, until `limit`.
-- One range of versions, one seek a table for each.
SELECT n.name, i.key, v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, i.paths, v.expires, v.ttl
  FROM perdure_versions v
 CROSS JOIN perdure_items i ON i.id = v.item AND i.version = v.version AND i.alive = 1
 CROSS JOIN perdure_namespaces n ON n.no = i.id >> 32 AND n.name >= ?1 AND n.name < ?2
 WHERE v.version < ?3
   AND v.ended IS NULL
   AND (i.expires IS NULL OR i.expires > ?5)
 ORDER BY v.version DESC
 LIMIT ?4;

-- name: preselected_of_few
-- As `items_of_few`, with what `preselecting.py` puts in the place of the remark: a condition on w.value.
SELECT n.name, i.key, v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, i.paths, v.expires, v.ttl
  FROM perdure_namespaces n
  JOIN perdure_items i
    ON i.id IN (
         SELECT m.id
           FROM perdure_items m
           JOIN perdure_versions w ON w.version = m.version
          WHERE m.id >> 32 = +n.no
            AND m.alive = 1
            AND m.version < ?3
            AND (m.expires IS NULL OR m.expires > ?5)
            /* condition */
          ORDER BY m.version DESC
          LIMIT ?4)
  JOIN perdure_versions v ON v.version = i.version
 WHERE n.name >= ?1
   AND n.name < ?2
 ORDER BY i.version DESC
 LIMIT ?4;

-- name: preselected_of_many
-- As `items_of_many`, with such a condition.
SELECT n.name, i.key, w.version, w.created, w.updated, w.thread, w.checkpoint, w.node, w.actor, w.value, i.paths, w.expires, w.ttl
  FROM perdure_versions w
 CROSS JOIN perdure_items i ON i.id = w.item AND i.version = w.version AND i.alive = 1
 CROSS JOIN perdure_namespaces n ON n.no = i.id >> 32 AND n.name >= ?1 AND n.name < ?2
 WHERE w.version < ?3
   AND w.ended IS NULL
   AND (i.expires IS NULL OR i.expires > ?5)
   /* condition */
 ORDER BY w.version DESC
 LIMIT ?4;

-- name: preselected_by_index
-- The same by an index that somebody declared: its name goes to the first remark, the condition on its expression to the
-- second. One range of the index for each namespace.
SELECT n.name, i.key, v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, i.paths, v.expires, v.ttl
  FROM perdure_namespaces n
 CROSS JOIN perdure_versions v
    ON v.version IN (
         SELECT w.version
           FROM perdure_versions w /* index */
          CROSS JOIN perdure_items m ON m.id = w.item
          WHERE w.item >> 32 = +n.no
            AND w.ended IS NULL
            AND w.version < ?3
            AND (m.expires IS NULL OR m.expires > ?5)
            /* condition */
          ORDER BY w.version DESC
          LIMIT ?4)
  JOIN perdure_items i ON i.id = v.item
 WHERE n.name >= ?1
   AND n.name < ?2
 ORDER BY v.version DESC
 LIMIT ?4;

-- name: count_by_index
-- How many `preselected_by_index` would find, counted up to the limit.
SELECT count(*)
  FROM (SELECT 1
          FROM perdure_namespaces n
         CROSS JOIN perdure_versions w /* index */
         WHERE n.name >= ?1
           AND n.name < ?2
           AND w.item >> 32 = +n.no
           AND w.ended IS NULL
           AND w.version < ?3
           /* condition */
         LIMIT ?4);

-- name: index_of_paths
-- ?1 name. Whether there is an index that somebody declared. Scan: sqlite_schema.
SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = ?1;

-- name: size
-- ?1 first, ?2 end, ?3 now. How many live items a subtree has. One range of perdure_items_by_version for each namespace.
SELECT count(*)
  FROM perdure_namespaces n
  JOIN perdure_items i ON i.id >> 32 = +n.no AND i.alive = 1 AND (i.expires IS NULL OR i.expires > ?3)
 WHERE n.name >= ?1
   AND n.name < ?2;

-- name: namespaces
-- ?1 first, ?2 end, ?3 now. Namespaces that hold a live item, in order. One range, one seek each, and one more for each item
-- that has expired and was not swept.
SELECT n.name
  FROM perdure_namespaces n
 WHERE n.name >= ?1
   AND n.name < ?2
   AND EXISTS (
       SELECT 1
         FROM perdure_items i
        WHERE i.id >> 32 = +n.no
          AND i.alive = 1
          AND (i.expires IS NULL OR i.expires > ?3))
 ORDER BY n.name;

-- name: lapsed
-- ?1 first namespace, ?2 end, ?3 until, ?4 limit. Items not swept whose time was over then, first ended first. One range of
-- perdure_items_by_end, one seek a table for each.
SELECT n.name, i.key, v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, i.paths, v.expires, v.ttl
  FROM perdure_items i
 CROSS JOIN perdure_namespaces n ON n.no = i.id >> 32 AND n.name >= ?1 AND n.name < ?2
  JOIN perdure_versions v ON v.version = i.version
 WHERE i.expires <= ?3
 ORDER BY i.expires, i.version
 LIMIT ?4;

-- name: item_times
-- Rows of (item, now). When the live items were written last. One seek a row and table.
WITH wanted (item, now) AS (VALUES
    (?, ?) -- repeat
)
SELECT i.id, v.updated
  FROM wanted
 CROSS JOIN perdure_items i ON i.id = wanted.item
  JOIN perdure_versions v ON v.version = i.version
 WHERE i.alive = 1
   AND (i.expires IS NULL OR i.expires > wanted.now);

-- name: item_numbers
-- Rows of (number, namespace, key). The items that live, or whose deletion is kept: number as given, id. One seek a row and
-- table.
WITH wanted (number, namespace, key) AS (VALUES
    (?, ?, ?) -- repeat
)
SELECT wanted.number, i.id
  FROM wanted
  JOIN perdure_namespaces n ON n.name = wanted.namespace
  JOIN perdure_items i ON i.id >> 32 = +n.no AND i.key = wanted.key;

-- name: around
-- Rows of (number, namespace, created, item, below: a version, now), then four times how many. The live items that stand nearest
-- on either side, of versions below: up to twice so many, since those of the same time come from a range of their own. Four
-- ranges of perdure_versions_by_birth a row, one seek a table for each item.
WITH wanted (number, namespace, created, item, below, now) AS (VALUES
    (?, ?, ?, ?, ?, ?) -- repeat
)
SELECT wanted.number, v.item, n.name, i.key, v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, i.paths, v.expires, v.ttl
  FROM wanted
 CROSS JOIN perdure_namespaces n ON n.name = wanted.namespace
 CROSS JOIN perdure_versions v ON v.version IN (
         SELECT version
           FROM (SELECT o.version
                   FROM perdure_versions o
                  WHERE o.item >> 32 = +n.no
                    AND o.ended IS NULL
                    AND coalesce(o.created, o.updated) = wanted.created AND o.item < wanted.item
                    AND o.version < wanted.below
                    AND (o.expires IS NULL OR o.expires > wanted.now)
                  ORDER BY o.item DESC
                  LIMIT ?)
          UNION ALL
         SELECT version
           FROM (SELECT o.version
                   FROM perdure_versions o
                  WHERE o.item >> 32 = +n.no
                    AND o.ended IS NULL
                    AND coalesce(o.created, o.updated) < wanted.created
                    AND o.version < wanted.below
                    AND (o.expires IS NULL OR o.expires > wanted.now)
                  ORDER BY coalesce(o.created, o.updated) DESC, o.item DESC
                  LIMIT ?)
          UNION ALL
         SELECT version
           FROM (SELECT o.version
                   FROM perdure_versions o
                  WHERE o.item >> 32 = +n.no
                    AND o.ended IS NULL
                    AND coalesce(o.created, o.updated) = wanted.created AND o.item > wanted.item
                    AND o.version < wanted.below
                    AND (o.expires IS NULL OR o.expires > wanted.now)
                  ORDER BY o.item
                  LIMIT ?)
          UNION ALL
         SELECT version
           FROM (SELECT o.version
                   FROM perdure_versions o
                  WHERE o.item >> 32 = +n.no
                    AND o.ended IS NULL
                    AND coalesce(o.created, o.updated) > wanted.created
                    AND o.version < wanted.below
                    AND (o.expires IS NULL OR o.expires > wanted.now)
                  ORDER BY coalesce(o.created, o.updated), o.item
                  LIMIT ?))
  JOIN perdure_items i ON i.id = v.item;

-- name: changes
-- ?1 first version, ?2 end. All versions in between, deletions too, in order. One range.
SELECT n.name, i.key, v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, NULL, v.expires, v.ttl
  FROM perdure_versions v
  JOIN perdure_items i ON i.id = v.item
  JOIN perdure_namespaces n ON n.no = v.item >> 32
 WHERE v.version >= ?1
   AND v.version < ?2
 ORDER BY v.version;

-- name: nth_version
-- ?1 first version, ?2 n from 0. The version that many rows on, or no row. One range.
SELECT version
  FROM perdure_versions
 WHERE version >= ?1
 ORDER BY version
 LIMIT 1 OFFSET ?2;

-- ---- what the writer needs to know

-- name: find_namespaces
-- Rows of (namespace). The numbers of those that exist, and the greatest n of an item in each. One seek a row and table.
WITH wanted (name) AS (VALUES
    (?) -- repeat
)
SELECT n.name, n.no,
       (SELECT max(i.id) & 4294967295 FROM perdure_items i WHERE i.id BETWEEN n.no << 32 AND (n.no << 32) | 4294967295)
  FROM wanted
  JOIN perdure_namespaces n ON n.name = wanted.name;

-- name: find_items
-- Rows of (namespace's number, key). The items that exist, deleted ones included. One seek a row and table.
WITH wanted (namespace, key) AS (VALUES
    (?, ?) -- repeat
)
SELECT wanted.namespace, i.key, i.id, i.version, i.alive, coalesce(v.created, v.updated), v.updated, i.idx, i.length, i.paths,
       i.model, v.expires, v.ttl
  FROM wanted
  JOIN perdure_items i ON i.id >> 32 = wanted.namespace AND i.key = wanted.key
  JOIN perdure_versions v ON v.version = i.version;

-- ---- rows in and out

-- name: add_namespace
-- no, name.
INSERT INTO perdure_namespaces (no, name) VALUES (?, ?);

-- name: add_item
-- Rows of (id, key, version, alive, idx, length, paths, model, expires).
INSERT INTO perdure_items (id, key, version, alive, idx, length, paths, model, expires) VALUES
    (?, ?, ?, ?, ?, ?, ?, ?, ?) -- repeat
;

-- name: set_item
-- version, alive, idx, length, paths, model, expires, id. One seek.
UPDATE perdure_items
   SET version = ?, alive = ?, idx = ?, length = ?, paths = ?, model = ?, expires = ?
 WHERE id = ?;

-- name: add_version
-- Rows of (version, item, before, created, updated, ended, thread, checkpoint, node, actor, value, expires, ttl).
INSERT INTO perdure_versions
       (version, item, before, created, updated, ended, thread, checkpoint, node, actor, value, expires, ttl)
VALUES
    (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) -- repeat
;

-- name: move_end
-- expires, version. One seek.
UPDATE perdure_versions SET expires = ? WHERE version = ?;

-- name: end_version
-- ended, version. One seek.
UPDATE perdure_versions SET ended = ? WHERE version = ?;

-- name: ended_versions
-- ?1 before (microseconds), ?2 limit. Versions to prune, those that ended first first, and whether one is the item's newest:
-- its deletion. One range of perdure_versions_by_end, one seek each.
SELECT v.version, v.item, i.version = v.version
  FROM perdure_versions v
  JOIN perdure_items i ON i.id = v.item
 WHERE v.ended < ?1
 ORDER BY v.ended, v.version
 LIMIT ?2;

-- name: remove_version
-- version. One seek.
DELETE FROM perdure_versions WHERE version = ?;

-- name: remove_deleted_item
-- id, version. Its newest version, which goes, is its deletion. One seek.
DELETE FROM perdure_items WHERE id = ? AND version = ? AND alive = 0;

-- name: remove_empty_namespace
-- ?1 no. If it holds no item, living or deleted. One seek.
DELETE FROM perdure_namespaces
 WHERE no = ?1
   AND NOT EXISTS (SELECT 1 FROM perdure_items i WHERE i.id BETWEEN ?1 << 32 AND (?1 << 32) | 4294967295);
