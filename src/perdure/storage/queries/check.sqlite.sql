-- Whether what words find agrees with the items, and making it anew. SQLite. For `perdure memory check`: each scans.

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

-- name: postings_by_item
-- Of each item: how many postings, how many terms they count in all, the least and greatest length. Scan: perdure_postings.
SELECT p.item, count(*), sum(p.times), min(p.length), max(p.length) FROM perdure_postings p GROUP BY p.item;

-- name: all_texts
-- ?1 item, ?2 limit. Items with terms from behind that one. One range.
SELECT t.item, i.idx, i.length, t.terms
  FROM perdure_texts t
  JOIN perdure_items i ON i.id = t.item AND i.alive = 1
 WHERE t.item > ?1
 ORDER BY t.item
 LIMIT ?2;

-- name: wrong_totals
-- Namespaces' statistics that are not those of their items. Scan: perdure_items, perdure_totals.
WITH line (space, idx, items, length, empty) AS (
    SELECT i.id >> 32, i.idx, sum(i.length > 0), sum(i.length), sum(i.length = 0)
      FROM perdure_items i
     WHERE i.alive = 1
       AND i.idx IS NOT NULL
     GROUP BY 1, 2
)
SELECT count(*)
  FROM (SELECT space, idx, items, length, empty FROM line
        UNION ALL
        SELECT space, idx, items, length, empty FROM perdure_totals WHERE items <> 0 OR length <> 0 OR empty <> 0) AS both
 GROUP BY both.space, both.idx, both.items, both.length, both.empty
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
-- All that are to be found are filed nowhere. Scan: perdure_items.
UPDATE perdure_items SET idx = 0, length = 0 WHERE alive = 1 AND idx IS NOT NULL;

-- name: totals_of_unfiled
-- Scan: perdure_items.
INSERT INTO perdure_totals (space, idx, items, length, empty)
SELECT id >> 32, 0, 0, 0, count(*) FROM perdure_items WHERE alive = 1 AND idx IS NOT NULL GROUP BY id >> 32;

-- name: postings_of
-- Rows of (term, item). Those that are there. One seek a row.
WITH wanted (term, item) AS (VALUES
    (?, ?) -- repeat
)
SELECT p.term, p.item
  FROM wanted
 CROSS JOIN perdure_postings p ON p.term = wanted.term AND p.item = wanted.item;
