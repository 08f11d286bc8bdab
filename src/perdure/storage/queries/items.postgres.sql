-- Memory across threads: items, their versions, namespaces. Postgres: names, values and columns as in `items.sqlite.sql`.
-- `now`: microseconds; a live item whose `expires` is not after it is left out.
-- `alive <> 0`, `num_nonnulls(ended) = 0`: as `alive = 1`, `ended IS NULL`, where an index that has just these is not to be read instead
-- of seeking by a key: while it is small, that looks cheap. A test looks at all plans.

-- name: item
-- $1 namespace, $2 key, $3 now. The live version. One seek a table (OFFSET 0: in this order).
SELECT v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, i.paths, v.expires, v.ttl
  FROM perdure_namespaces n
  JOIN LATERAL (
         SELECT s.version, s.paths, s.alive, s.expires FROM perdure_items s WHERE s.id >> 32 = n.no AND s.key = $2 OFFSET 0
       ) AS i ON i.alive = 1 AND (i.expires IS NULL OR i.expires > $3)
  JOIN perdure_versions v ON v.version = i.version
 WHERE n.name = $1;

-- name: count_namespaces
-- $1 first, $2 end, $3 limit. Whether a subtree has many namespaces: how `items` is asked. One range, at most `limit` rows.
SELECT count(*)
  FROM (SELECT 1 FROM perdure_namespaces n WHERE n.name >= $1 AND n.name < $2 LIMIT $3) AS found;

-- name: items_of_few
-- $1 first namespace, $2 end, $3 before (a version), $4 limit, $5 now. Live items, greatest version first. At most `limit` rows of
-- each namespace are read, then sorted: for subtrees of few namespaces.
SELECT found.name, found.key, v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, found.paths, v.expires, v.ttl
  FROM (SELECT n.name, m.key, m.version, m.paths
          FROM perdure_namespaces n
          JOIN LATERAL (
                 SELECT m.key, m.version, m.paths
                   FROM perdure_items m
                  WHERE m.id >> 32 = n.no
                    AND m.alive = 1
                    AND m.version < $3
                    AND (m.expires IS NULL OR m.expires > $5)
                  ORDER BY m.version DESC
                  LIMIT $4
               ) AS m ON TRUE
         WHERE n.name >= $1
           AND n.name < $2
         ORDER BY m.version DESC
         LIMIT $4) AS found
  JOIN perdure_versions v ON v.version = found.version
 ORDER BY v.version DESC;

-- name: items_of_many
-- As `items_of_few`, for subtrees of many namespaces: versions downwards, those that are live and inside, until `limit`.
-- One range of versions, one seek a table for each. OFFSET 0 keeps the planner from beginning with the namespaces, or from
-- looking through all of them for each version: it guesses that few are inside.
SELECT n.name, i.key, v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, i.paths, v.expires, v.ttl
  FROM perdure_versions v
  JOIN LATERAL (SELECT s.name FROM perdure_namespaces s WHERE s.no = v.item >> 32 OFFSET 0) AS n
    ON n.name >= $1 AND n.name < $2
  JOIN perdure_items i ON i.id = v.item AND i.version = v.version AND i.alive <> 0
 WHERE v.version < $3
   AND num_nonnulls(v.ended) = 0
   AND (i.expires IS NULL OR i.expires > $5)
 ORDER BY v.version DESC
 LIMIT $4;

-- name: size
-- $1 first, $2 end, $3 now. How many live items a subtree has. One range of perdure_items_by_version for each namespace.
SELECT coalesce(sum(live.items), 0)::bigint
  FROM perdure_namespaces n
  JOIN LATERAL (
         SELECT count(*) AS items
           FROM perdure_items i
          WHERE i.id >> 32 = n.no
            AND i.alive = 1
            AND (i.expires IS NULL OR i.expires > $3)
       ) AS live ON TRUE
 WHERE n.name >= $1
   AND n.name < $2;

-- name: namespaces
-- $1 first, $2 end, $3 now. Namespaces that hold a live item, in order. One range, one seek each, and one more for each item
-- that has expired and was not swept.
SELECT n.name
  FROM perdure_namespaces n
 WHERE n.name >= $1
   AND n.name < $2
   AND EXISTS (
       SELECT 1
         FROM perdure_items i
        WHERE i.id >> 32 = n.no
          AND i.alive = 1
          AND (i.expires IS NULL OR i.expires > $3)
       OFFSET 0)
 ORDER BY n.name;

-- name: lapsed
-- $1 first namespace, $2 end, $3 until, $4 limit. Items not swept whose time was over then, first ended first. One range of
-- perdure_items_by_end, one seek a table for each.
SELECT n.name, i.key, v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, i.paths, v.expires, v.ttl
  FROM perdure_items i
  JOIN LATERAL (SELECT s.name FROM perdure_namespaces s WHERE s.no = i.id >> 32 OFFSET 0) AS n
    ON n.name >= $1 AND n.name < $2
  JOIN perdure_versions v ON v.version = i.version
 WHERE i.expires <= $3
 ORDER BY i.expires, i.version
 LIMIT $4;

-- name: item_times
-- Rows of (item, now). When the live items were written last. One seek a row and table.
SELECT i.id, v.updated
  FROM unnest($1::bigint[], $2::bigint[]) AS wanted (item, now)
  JOIN perdure_items i ON i.id = wanted.item
  JOIN perdure_versions v ON v.version = i.version
 WHERE i.alive <> 0
   AND (i.expires IS NULL OR i.expires > wanted.now);

-- name: item_numbers
-- Rows of (number, namespace, key). The items that live, or whose deletion is kept: number as given, id. One seek a row and
-- table.
SELECT wanted.number, i.id
  FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS wanted (number, namespace, key)
  JOIN perdure_namespaces n ON n.name = wanted.namespace
  JOIN perdure_items i ON i.id >> 32 = n.no AND i.key = wanted.key;

-- name: around
-- Rows of (number, namespace, created, item, below: a version, now), then four times how many. The live items that stand nearest
-- on either side, of versions below: up to twice so many, since those of the same time come from a range of their own. Four
-- ranges of perdure_versions_by_birth a row, one seek a table for each item.
SELECT wanted.number, v.item, n.name, i.key, v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, i.paths, v.expires, v.ttl
  FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
       AS wanted (number, namespace, created, item, below, now)
  JOIN perdure_namespaces n ON n.name = wanted.namespace
  JOIN LATERAL (
         (SELECT o.version
            FROM perdure_versions o
           WHERE o.item >> 32 = n.no
             AND o.ended IS NULL
             AND coalesce(o.created, o.updated) = wanted.created AND o.item < wanted.item
             AND o.version < wanted.below
             AND (o.expires IS NULL OR o.expires > wanted.now)
           ORDER BY o.item DESC
           LIMIT $7)
          UNION ALL
         (SELECT o.version
            FROM perdure_versions o
           WHERE o.item >> 32 = n.no
             AND o.ended IS NULL
             AND coalesce(o.created, o.updated) < wanted.created
             AND o.version < wanted.below
             AND (o.expires IS NULL OR o.expires > wanted.now)
           ORDER BY coalesce(o.created, o.updated) DESC, o.item DESC
           LIMIT $8)
          UNION ALL
         (SELECT o.version
            FROM perdure_versions o
           WHERE o.item >> 32 = n.no
             AND o.ended IS NULL
             AND coalesce(o.created, o.updated) = wanted.created AND o.item > wanted.item
             AND o.version < wanted.below
             AND (o.expires IS NULL OR o.expires > wanted.now)
           ORDER BY o.item
           LIMIT $9)
          UNION ALL
         (SELECT o.version
            FROM perdure_versions o
           WHERE o.item >> 32 = n.no
             AND o.ended IS NULL
             AND coalesce(o.created, o.updated) > wanted.created
             AND o.version < wanted.below
             AND (o.expires IS NULL OR o.expires > wanted.now)
           ORDER BY coalesce(o.created, o.updated), o.item
           LIMIT $10)
       ) AS near ON TRUE
  JOIN perdure_versions v ON v.version = near.version
  JOIN perdure_items i ON i.id = v.item;

-- name: changes
-- $1 first version, $2 end. All versions in between, deletions too, in order. One range.
SELECT n.name, i.key, v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, NULL, v.expires, v.ttl
  FROM perdure_versions v
  JOIN perdure_items i ON i.id = v.item
  JOIN perdure_namespaces n ON n.no = v.item >> 32
 WHERE v.version >= $1
   AND v.version < $2
 ORDER BY v.version;

-- name: nth_version
-- $1 first version, $2 n from 0. The version that many rows on, or no row. One range.
SELECT version
  FROM perdure_versions
 WHERE version >= $1
 ORDER BY version
 LIMIT 1 OFFSET $2;

-- ---- what the writer needs to know

-- name: find_namespaces
-- Rows of (namespace). The numbers of those that exist, and the greatest n of an item in each. One seek a row and table.
SELECT n.name, n.no,
       (SELECT max(i.id) & 4294967295 FROM perdure_items i WHERE i.id BETWEEN n.no << 32 AND (n.no << 32) | 4294967295)
  FROM unnest($1::bytea[]) AS wanted (name)
  JOIN perdure_namespaces n ON n.name = wanted.name;

-- ---- rows in and out

-- name: add_namespace
-- no, name.
INSERT INTO perdure_namespaces (no, name)
SELECT * FROM unnest($1::bigint[], $2::bytea[]);

-- name: add_item
-- id, key, version, alive, idx, length, paths, model, expires.
INSERT INTO perdure_items (id, key, version, alive, idx, length, paths, model, expires)
SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bytea[], $8::bigint[], $9::bigint[]);

-- name: set_item
-- version, alive, idx, length, paths, model, expires, id. One seek.
UPDATE perdure_items t
   SET version = wanted.version, alive = wanted.alive, idx = wanted.idx, length = wanted.length, paths = wanted.paths, model = wanted.model, expires = wanted.expires
  FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[], $6::bigint[], $7::bigint[], $8::bigint[]) AS wanted (version, alive, idx, length, paths, model, expires, id)
 WHERE t.id = wanted.id;

-- name: add_version
-- version, item, before, created, updated, ended, thread, checkpoint, node, actor, value, expires, ttl.
INSERT INTO perdure_versions (version, item, before, created, updated, ended, thread, checkpoint, node, actor, value, expires, ttl)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bytea[], $8::bytea[], $9::bytea[], $10::bytea[], $11::bytea[], $12::bigint[], $13::bigint[]);

-- name: move_end
-- expires, version. One seek.
UPDATE perdure_versions t
   SET expires = wanted.expires
  FROM unnest($1::bigint[], $2::bigint[]) AS wanted (expires, version)
 WHERE t.version = wanted.version;

-- name: end_version
-- ended, version. One seek.
UPDATE perdure_versions t
   SET ended = wanted.ended
  FROM unnest($1::bigint[], $2::bigint[]) AS wanted (ended, version)
 WHERE t.version = wanted.version;

-- name: ended_versions
-- $1 before (microseconds), $2 limit. Versions to prune, those that ended first first, and whether one is the item's newest:
-- its deletion. One range of perdure_versions_by_end, one seek each.
SELECT v.version, v.item, i.version = v.version
  FROM perdure_versions v
  JOIN perdure_items i ON i.id = v.item
 WHERE v.ended < $1
 ORDER BY v.ended, v.version
 LIMIT $2;

-- name: remove_version
-- version. One seek.
DELETE FROM perdure_versions t
 USING unnest($1::bigint[]) AS wanted (version)
 WHERE t.version = wanted.version;

-- name: remove_deleted_item
-- id, version. Its newest version, which goes, is its deletion. One seek.
DELETE FROM perdure_items t
 USING unnest($1::bigint[], $2::bigint[]) AS wanted (id, version)
 WHERE t.id = wanted.id AND t.version = wanted.version AND t.alive = 0;

-- name: remove_empty_namespace
-- Rows of (no). If it holds no item, living or deleted. One seek a row.
DELETE FROM perdure_namespaces t
 USING unnest($1::bigint[]) AS wanted (no)
 WHERE t.no = wanted.no
   AND NOT EXISTS (
         SELECT 1 FROM perdure_items i WHERE i.id BETWEEN wanted.no << 32 AND (wanted.no << 32) | 4294967295);

-- name: find_items_by_name
-- Rows of (namespace, key). As `find_items`, by the namespace's name, with the terms of those that are filed.
SELECT wanted.name, i.key, i.id, i.version, i.alive, coalesce(v.created, v.updated), v.updated, i.idx, i.length, i.paths,
       i.model, v.expires, v.ttl, t.terms
  FROM unnest($1::bytea[], $2::bytea[]) AS wanted (name, key)
  JOIN perdure_namespaces n ON n.name = wanted.name
  JOIN perdure_items i ON i.id >> 32 = n.no AND i.key = wanted.key
  JOIN perdure_versions v ON v.version = i.version
  LEFT JOIN perdure_texts t ON t.item = i.id;

-- ---- counts

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
SELECT coalesce(sum(items), 0)::bigint FROM perdure_vector_spaces;
