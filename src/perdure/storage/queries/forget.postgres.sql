-- Forgetting a subtree: what is there of it, and its deletion from every table. Postgres: as in `forget.sqlite.sql`. What is
-- deleted stays in dead rows until VACUUM, and in the log and backups: the operator's to do, see `Backend.scrub`.

-- name: forgettable_spaces
-- $1 first, $2 end. Numbers of the subtree's namespaces. One range.
SELECT no FROM perdure_namespaces WHERE name >= $1 AND name < $2;

-- name: forgettable_versions
-- $1 first, $2 end. How many versions of the subtree's items are kept, by the thread that wrote them. One seek a version.
WITH RECURSIVE line (version, before, thread) AS (
    SELECT v.version, v.before, v.thread
      FROM perdure_namespaces n
      JOIN perdure_items i ON i.id BETWEEN n.no << 32 AND (n.no << 32) | 4294967295
      JOIN perdure_versions v ON v.version = i.version
     WHERE n.name >= $1
       AND n.name < $2
  UNION ALL
    SELECT v.version, v.before, v.thread
      FROM line
      JOIN perdure_versions v ON v.version = line.before
)
SELECT line.thread, count(*) FROM line GROUP BY line.thread;

-- name: forgettable_texts
-- $1 number of a namespace. Items with their index and terms. One range, one seek each.
SELECT t.item, i.idx, t.terms
  FROM perdure_texts t
  JOIN perdure_items i ON i.id = t.item
 WHERE t.item BETWEEN $1 << 32 AND ($1 << 32) | 4294967295;

-- name: forgettable_staged
-- $1 first, $2 end. How many staged writes are for the subtree, by their thread.
-- Scan: perdure_staged, few rows of unfinished steps.
SELECT t.name, count(*)
  FROM perdure_staged s
  JOIN perdure_chains c ON c.no = s.chain
  JOIN perdure_threads t ON t.no = c.thread
 WHERE s.namespace >= $1
   AND s.namespace < $2
 GROUP BY t.name;

-- name: forget_versions
-- $1 first, $2 end. One seek a version.
DELETE FROM perdure_versions
 WHERE version IN (
         WITH RECURSIVE line (version, before) AS (
             SELECT v.version, v.before
               FROM perdure_namespaces n
               JOIN perdure_items i ON i.id BETWEEN n.no << 32 AND (n.no << 32) | 4294967295
               JOIN perdure_versions v ON v.version = i.version
              WHERE n.name >= $1
                AND n.name < $2
           UNION ALL
             SELECT v.version, v.before
               FROM line
               JOIN perdure_versions v ON v.version = line.before
         )
         SELECT line.version FROM line);

-- name: forgettable_vectors
-- $1 first, $2 end. How many items of the subtree have vectors, of any model. One range of namespaces, one range each.
SELECT coalesce(sum(s.items), 0)::bigint
  FROM perdure_namespaces n
  JOIN perdure_vector_spaces s ON s.space = n.no
 WHERE n.name >= $1
   AND n.name < $2;

-- name: forget_vectors
-- Rows of (number of a namespace). One range a row.
DELETE FROM perdure_vectors t
 USING unnest($1::bigint[]) AS wanted (no)
 WHERE t.item BETWEEN wanted.no << 32 AND (wanted.no << 32) | 4294967295;

-- name: forget_vector_spaces
-- $1 number of a namespace. One range.
DELETE FROM perdure_vector_spaces t
 USING unnest($1::bigint[]) AS wanted (no)
 WHERE t.space = wanted.no;

-- name: forget_texts
-- Rows of (number of a namespace). One range a row.
DELETE FROM perdure_texts t
 USING unnest($1::bigint[]) AS wanted (no)
 WHERE t.item BETWEEN wanted.no << 32 AND (wanted.no << 32) | 4294967295;

-- name: forget_totals
-- $1 number of a namespace. One range.
DELETE FROM perdure_totals t
 USING unnest($1::bigint[]) AS wanted (no)
 WHERE t.space = wanted.no;

-- name: forget_items
-- Rows of (number of a namespace). With what stands at declared paths. One range a row and table.
WITH filed AS (
    DELETE FROM perdure_path_values t
     USING unnest($1::bigint[]) AS wanted (no)
     WHERE t.item BETWEEN wanted.no << 32 AND (wanted.no << 32) | 4294967295
)
DELETE FROM perdure_items t
 USING unnest($1::bigint[]) AS wanted (no)
 WHERE t.id BETWEEN wanted.no << 32 AND (wanted.no << 32) | 4294967295;

-- name: forget_namespaces
-- $1 first, $2 end. One range.
DELETE FROM perdure_namespaces WHERE name >= $1 AND name < $2;

-- name: forget_staged
-- $1 first, $2 end. Scan: perdure_staged, few rows of unfinished steps.
DELETE FROM perdure_staged WHERE namespace >= $1 AND namespace < $2;
