-- Whether what is made of the items agrees with them, and making it anew. Postgres: as in `check.sqlite.sql`. Each scans.

-- name: wrong_texts
-- Items' terms without a living item that has any, and items with terms that have none. Scan: perdure_texts, perdure_items.
SELECT (SELECT count(*)
          FROM perdure_texts t
          LEFT JOIN perdure_items i ON i.id = t.item AND i.alive = 1 AND i.length > 0
         WHERE i.id IS NULL),
       (SELECT count(*)
          FROM perdure_items i
          LEFT JOIN perdure_texts t ON t.item = i.id
         WHERE i.alive = 1 AND i.length > 0 AND t.item IS NULL);

-- name: not_filed
-- Items that are to be found and are filed nowhere at all, or the reverse. Scan: perdure_items.
SELECT count(*)
  FROM perdure_items
 WHERE (idx IS NOT NULL) <> (alive = 1 AND paths IS DISTINCT FROM '\x5B5D'::bytea);

-- name: postings_by_item
-- Of each item: how many postings, how many terms they count in all, the least and greatest length. Scan: perdure_postings.
SELECT p.item, count(*), sum(p.times)::bigint, min(p.length), max(p.length) FROM perdure_postings p GROUP BY p.item;

-- name: all_texts
-- $1 item, $2 limit. Items with terms from behind that one. One range.
SELECT t.item, i.idx, i.length, t.terms
  FROM perdure_texts t
  JOIN perdure_items i ON i.id = t.item AND i.alive <> 0
 WHERE t.item > $1
 ORDER BY t.item
 LIMIT $2;

-- name: wrong_totals
-- Namespaces' statistics that are not those of their items. Scan: perdure_items, perdure_totals.
WITH line (space, idx, items, length, empty) AS (
    SELECT i.id >> 32, i.idx, count(*) FILTER (WHERE i.length > 0), coalesce(sum(i.length), 0)::bigint,
           count(*) FILTER (WHERE i.length = 0)
      FROM perdure_items i
     WHERE i.alive = 1
       AND i.idx IS NOT NULL
     GROUP BY 1, 2
)
SELECT count(*)
  FROM (SELECT space, idx, items, length, empty FROM line
        UNION ALL
        SELECT space, idx, items, length, empty FROM perdure_totals WHERE items <> 0 OR length <> 0 OR empty <> 0) AS rows
 GROUP BY rows.space, rows.idx, rows.items, rows.length, rows.empty
HAVING count(*) <> 2;

-- name: clear_postings
-- All rows go at once.
DELETE FROM perdure_postings;

-- name: clear_texts
-- All rows go at once.
DELETE FROM perdure_texts;

-- name: clear_totals
-- All rows go at once.
DELETE FROM perdure_totals;

-- name: unfile_items
-- All that are to be found (their paths are not the empty list) are filed nowhere. Scan: perdure_items.
UPDATE perdure_items SET idx = CASE WHEN alive = 1 AND paths IS DISTINCT FROM '\x5B5D'::bytea THEN 0 END, length = 0;

-- name: totals_of_unfiled
-- Scan: perdure_items.
INSERT INTO perdure_totals (space, idx, items, length, empty)
SELECT id >> 32, 0, 0, 0, count(*) FROM perdure_items WHERE alive = 1 AND idx IS NOT NULL GROUP BY id >> 32;

-- name: postings_of
-- Rows of (term, item). Those that are there. One seek a row.
SELECT p.term, p.item
  FROM unnest($1::bytea[], $2::bigint[]) AS wanted (term, item)
  JOIN perdure_postings p ON p.term = wanted.term AND p.item = wanted.item;

-- ---- vectors

-- name: wrong_vectors
-- Vectors without a living item to be found that names their model, and items that name one and have none of it.
-- Scan: perdure_vectors, perdure_items.
SELECT (SELECT count(*)
          FROM perdure_vectors v
          LEFT JOIN perdure_items i ON i.id = v.item AND i.alive = 1 AND i.model = v.model AND i.paths IS DISTINCT FROM '\x5B5D'::bytea
         WHERE i.id IS NULL
            OR length(v.data) = 0
            OR length(v.data) % 4 <> 0),
       (SELECT count(*)
          FROM perdure_items i
          LEFT JOIN perdure_vectors v ON v.item = i.id AND v.model = i.model
         WHERE i.model > 0 AND v.item IS NULL);  /* 0: vectors are owed */

-- name: wrong_spaces
-- Namespaces whose vectors are not as many as they say, or are newer than they say, or that say what is yet to come.
-- Scan: perdure_vectors, perdure_vector_spaces.
WITH line (space, model, items, seq) AS (
    SELECT v.item >> 32, v.model, count(*), max(v.seq) FROM perdure_vectors v GROUP BY 1, 2
)
SELECT (SELECT count(*)
          FROM line
          LEFT JOIN perdure_vector_spaces s ON s.space = line.space AND s.model = line.model
         WHERE s.items IS DISTINCT FROM line.items
            OR s.changed < line.seq)
     + (SELECT count(*)
          FROM perdure_vector_spaces s
          LEFT JOIN line ON line.space = s.space AND line.model = s.model
         WHERE (line.space IS NULL AND s.items <> 0)
            OR s.changed > (SELECT max(seq) FROM perdure_commits));

-- name: drop_vectors_of_nobody
-- Those that `wrong_vectors` counts. Scan: perdure_vectors.
DELETE FROM perdure_vectors
 WHERE length(data) = 0
    OR length(data) % 4 <> 0
    OR NOT EXISTS (SELECT 1
                     FROM perdure_items i
                    WHERE i.id = perdure_vectors.item
                      AND i.alive = 1
                      AND i.model = perdure_vectors.model
                      AND i.paths IS DISTINCT FROM '\x5B5D'::bytea);

-- name: forget_lost_vectors
-- Items have a model only with its vectors. Scan: perdure_items.
UPDATE perdure_items
   SET model = NULL
 WHERE model > 0
   AND NOT EXISTS (SELECT 1
                     FROM perdure_vectors v
                    WHERE v.item = perdure_items.id
                      AND v.model = perdure_items.model);

-- name: clear_vector_spaces
-- All rows go at once.
DELETE FROM perdure_vector_spaces;

-- name: bound_vectors
-- $1 seq of the newest commit. None is newer. Scan: perdure_vectors.
UPDATE perdure_vectors SET seq = $1 WHERE seq > $1;

-- name: count_vector_spaces
-- $1 seq of the commit that counts. Scan: perdure_vectors.
INSERT INTO perdure_vector_spaces (space, model, items, changed)
SELECT item >> 32, model, count(*), $1 FROM perdure_vectors GROUP BY item >> 32, model;

-- ---- items and versions

-- name: wrong_items
-- Items whose newest version is not kept or is another's; those that end at another time than it. Scan: perdure_items.
SELECT count(*) FILTER (WHERE v.item IS DISTINCT FROM i.id
                           OR (i.alive = 1) <> (v.value IS NOT NULL)
                           OR (i.alive = 1) <> (v.ended IS NULL)),
       count(*) FILTER (WHERE i.expires IS DISTINCT FROM v.expires)
  FROM perdure_items i
  LEFT JOIN perdure_versions v ON v.version = i.version;

-- name: live_of_nobody
-- Versions that count as live and are no item's newest. Scan: perdure_versions.
SELECT count(*)
  FROM perdure_versions v
  LEFT JOIN perdure_items i ON i.id = v.item AND i.version = v.version AND i.alive = 1
 WHERE v.ended IS NULL
   AND i.id IS NULL;

-- name: mend_ends
-- And declared paths are as if they had just been declared: whoever does so next fills them. Scan: perdure_items, perdure_path_values.
WITH filed AS (
    DELETE FROM perdure_path_values
),
unfilled AS (
    UPDATE perdure_paths SET filled = 0
)
UPDATE perdure_items i
   SET expires = v.expires
  FROM perdure_versions v
 WHERE v.version = i.version
   AND i.expires IS DISTINCT FROM v.expires;

-- ---- Postgres's own indexes, with those that `indexes=` made: https://sqlite.org/pragma.html#pragma_integrity_check

-- name: remake_indexes_of_namespaces
-- Sorts all of it once an index; others wait meanwhile.
REINDEX TABLE perdure_namespaces;

-- name: remake_indexes_of_items
-- Sorts all of it once an index; others wait meanwhile.
REINDEX TABLE perdure_items;

-- name: remake_indexes_of_versions
-- As the others, also of a table that its operator keeps in partitions.
DO $$
DECLARE
  leaf REGCLASS;
BEGIN
  FOR leaf IN SELECT t.relid FROM pg_partition_tree('perdure_versions') AS t WHERE t.isleaf
              UNION ALL SELECT 'perdure_versions'::regclass WHERE NOT EXISTS (SELECT 1 FROM pg_partition_tree('perdure_versions')) LOOP
    EXECUTE format('REINDEX TABLE %s', leaf);
  END LOOP;
END
$$;

-- name: remake_indexes_of_indexes
-- Sorts all of it once an index; others wait meanwhile.
REINDEX TABLE perdure_indexes;

-- name: remake_indexes_of_vectors
-- As the others, also of a table that its operator keeps in partitions.
DO $$
DECLARE
  leaf REGCLASS;
BEGIN
  FOR leaf IN SELECT t.relid FROM pg_partition_tree('perdure_vectors') AS t WHERE t.isleaf
              UNION ALL SELECT 'perdure_vectors'::regclass WHERE NOT EXISTS (SELECT 1 FROM pg_partition_tree('perdure_vectors')) LOOP
    EXECUTE format('REINDEX TABLE %s', leaf);
  END LOOP;
END
$$;
