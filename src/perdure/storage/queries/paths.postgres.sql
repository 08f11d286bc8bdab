-- What stands at declared paths. Postgres only; on SQLite the same is indexes on expressions.

-- name: declared_paths
-- Numbers and names of the declared ones, with how far each is filled. Scan: perdure_paths, which has a few rows.
SELECT no, name, filled FROM perdure_paths WHERE name IS NOT NULL ORDER BY no;

-- name: preselected_by_values
-- $1 first namespace, $2 end, $3 before (a version), $4 limit, $5 now, $6 path, $7 values. Live items that have one of the values,
-- greatest version first; one row without a name where there is none, no row where the path is not filled. One range of
-- perdure_path_values_by_value for each namespace and value, one seek a table for each item (OFFSET 0: see `items_of_many`).
SELECT found.name, i.key, v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, i.paths, v.expires, v.ttl
  FROM perdure_paths p
  LEFT JOIN LATERAL (
         SELECT n.name, c.item, c.version
           FROM perdure_namespaces n
           JOIN unnest($7::bytea[]) AS wanted (value) ON TRUE
           JOIN LATERAL (
                  SELECT r.item, r.version
                    FROM perdure_path_values r
                    JOIN LATERAL (SELECT s.version, s.alive, s.expires FROM perdure_items s WHERE s.id = r.item OFFSET 0) AS m
                      ON m.version = r.version AND m.alive = 1 AND (m.expires IS NULL OR m.expires > $5)
                   WHERE r.path = p.no
                     AND r.item >> 32 = n.no
                     AND r.value = wanted.value
                     AND r.version < $3
                   ORDER BY r.version DESC
                   LIMIT $4
                ) AS c ON TRUE
          WHERE n.name >= $1
            AND n.name < $2
          ORDER BY c.version DESC
          LIMIT $4
       ) AS found ON TRUE
  LEFT JOIN perdure_versions v ON v.version = found.version
  LEFT JOIN perdure_items i ON i.id = found.item
 WHERE p.name = $6
   AND p.filled = 9223372036854775807
 ORDER BY v.version DESC;

-- name: preselected_by_ranges
-- $1 first namespace, $2 end, $3 before (a version), $4 limit, $5 now, $6 path, $7 least values, $8 greatest, $9 how many are too
-- many. As `preselected_by_values`, all in the ranges sorted; first in each row how many there are, counted up to $9: then no more.
WITH inside AS MATERIALIZED (
    SELECT n.name, c.item, c.version
      FROM perdure_paths p
      JOIN perdure_namespaces n ON n.name >= $1 AND n.name < $2
      JOIN unnest($7::bytea[], $8::bytea[]) AS wanted (least, greatest) ON TRUE
      JOIN LATERAL (
             SELECT r.item, r.version
               FROM perdure_path_values r
              WHERE r.path = p.no
                AND r.item >> 32 = n.no
                AND r.value >= wanted.least
                AND r.value <= wanted.greatest
                AND r.version < $3
              LIMIT $9
           ) AS c ON TRUE
     WHERE p.name = $6
       AND p.filled = 9223372036854775807
     LIMIT $9
)
SELECT (SELECT count(*) FROM inside),
       found.name, found.key, found.version, found.created, found.updated, found.thread, found.checkpoint, found.node, found.actor,
       found.value, found.paths, found.expires, found.ttl
  FROM perdure_paths p
  LEFT JOIN LATERAL (
         SELECT inside.name, m.key, v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, m.paths, v.expires, v.ttl
           FROM inside
           JOIN LATERAL (SELECT s.version, s.key, s.paths, s.alive, s.expires FROM perdure_items s WHERE s.id = inside.item OFFSET 0) AS m
             ON m.version = inside.version AND m.alive = 1 AND (m.expires IS NULL OR m.expires > $5)
           JOIN perdure_versions v ON v.version = inside.version
          WHERE (SELECT count(*) FROM inside) < $9
          ORDER BY v.version DESC
          LIMIT $4
       ) AS found ON TRUE
 WHERE p.name = $6
   AND p.filled = 9223372036854775807
 ORDER BY found.version DESC;

-- ---- rows in and out

-- name: set_path_values
-- item, path, version, value.
INSERT INTO perdure_path_values (item, path, version, value)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[])
    ON CONFLICT (item, path) DO UPDATE SET version = excluded.version, value = excluded.value;

-- name: remove_path_values
-- item, path. One seek.
DELETE FROM perdure_path_values t
 USING unnest($1::bigint[], $2::bigint[]) AS wanted (item, path)
 WHERE t.item = wanted.item AND t.path = wanted.path;

-- ---- declaring, filling, dropping: each behind the locks of a commit

-- name: lock_names
-- $1 keys in order, $2 the key of all commits. As `lock`, without a number: for what changes nothing that a revision tells of.
WITH names AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(wanted.key) FROM unnest($1::bigint[]) AS wanted (key)
)
SELECT pg_advisory_xact_lock_shared($2) FROM (SELECT count(*) FROM names) AS held;

-- name: add_path
-- $1 name. Behind `lock_way`: whoever commits later knows it.
INSERT INTO perdure_paths (no, filled, name) VALUES (nextval('perdure_path_no'), 0, $1)
    ON CONFLICT (name) DO NOTHING;

-- name: items_to_fill
-- $1 after which item, $2 limit, $3 bytes of values. Live items with their namespaces, by id: at least one, if there is any. One
-- range of the table, one seek a table for each.
SELECT page.id, page.name, page.version, page.value
  FROM (SELECT these.*,
               row_number() OVER (ORDER BY these.id) AS place,
               sum(octet_length(these.value)) OVER (ORDER BY these.id) AS bytes
          FROM (SELECT i.id, n.name, v.version, v.value
                  FROM perdure_items i
                  JOIN perdure_versions v ON v.version = i.version
                  JOIN perdure_namespaces n ON n.no = i.id >> 32
                 WHERE i.id > $1
                   AND i.alive <> 0
                 ORDER BY i.id
                 LIMIT $2) AS these) AS page
 WHERE page.place = 1
    OR page.bytes <= $3
 ORDER BY page.id;

-- name: fill_path_values
-- item, path, version, value: of items that are as they were looked at, and were not written since; unless the path was dropped.
-- One seek a row and table.
INSERT INTO perdure_path_values (item, path, version, value)
SELECT wanted.*
  FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[]) AS wanted (item, path, version, value)
  JOIN perdure_items i ON i.id = wanted.item AND i.version = wanted.version AND i.alive <> 0
  JOIN perdure_paths p ON p.no = wanted.path AND p.name IS NOT NULL
    ON CONFLICT (item, path) DO NOTHING;

-- name: filled_paths
-- $1 numbers, $2 up to which item.
UPDATE perdure_paths t
   SET filled = $2
  FROM unnest($1::bigint[]) AS wanted (no)
 WHERE t.no = wanted.no
   AND t.filled < $2;

-- name: drop_path
-- $1 name. Behind `lock_way`: whoever commits later makes no rows for it.
UPDATE perdure_paths SET name = NULL, filled = 0 WHERE name = $1;

-- name: dropped_paths
-- Numbers of those that have rows left, perhaps. Scan: perdure_paths, which has a few rows.
SELECT no FROM perdure_paths WHERE name IS NULL;

-- name: remove_rows_of_path
-- $1 number, $2 how many at most. How many there were. One range of perdure_path_values_by_value.
WITH gone AS (
    DELETE FROM perdure_path_values t
     USING (SELECT r.item, r.path FROM perdure_path_values r WHERE r.path = $1 LIMIT $2) AS these
     WHERE t.item = these.item AND t.path = these.path
 RETURNING 1
)
SELECT count(*) FROM gone;

-- name: path_values_of_nobody
-- How many are of no live version. Scan: perdure_path_values.
SELECT count(*)
  FROM perdure_path_values r
  LEFT JOIN perdure_items i ON i.id = r.item AND i.version = r.version AND i.alive = 1
 WHERE i.id IS NULL;

-- name: remove_path
-- $1 number. When its rows are gone.
DELETE FROM perdure_paths WHERE no = $1 AND name IS NULL;
