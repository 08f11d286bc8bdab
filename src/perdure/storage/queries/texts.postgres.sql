-- What words find: postings, statistics of namespaces. Postgres: as in `texts.sqlite.sql`.

-- name: index_number
-- $1 name. One seek.
SELECT no FROM perdure_indexes WHERE name = $1;

-- name: text_totals
-- $1 first namespace, $2 end, $3 index. One range of namespaces, one range of totals each.
SELECT coalesce(sum(t.items) FILTER (WHERE t.idx = $3), 0)::bigint,
       coalesce(sum(t.length) FILTER (WHERE t.idx = $3), 0)::bigint,
       coalesce(sum(t.items + t.empty) FILTER (WHERE t.idx <> $3), 0)::bigint
  FROM perdure_namespaces n
  JOIN perdure_totals t ON t.space = n.no
 WHERE n.name >= $1
   AND n.name < $2;

-- name: postings
-- $1 first namespace, $2 end, $3 term. One range of postings for each namespace of the subtree.
SELECT p.item, p.times, p.length
  FROM perdure_namespaces n
  JOIN perdure_postings p ON p.term = $3 AND p.item BETWEEN n.no << 32 AND (n.no << 32) | 4294967295
 WHERE n.name >= $1
   AND n.name < $2;

-- name: postings_of_many
-- The same, for a term that has fewer postings than the subtree has namespaces. One range, one seek a posting (OFFSET 0: see
-- `items_of_many`).
SELECT p.item, p.times, p.length
  FROM perdure_postings p
  JOIN LATERAL (SELECT s.name FROM perdure_namespaces s WHERE s.no = p.item >> 32 OFFSET 0) AS n
    ON n.name >= $1 AND n.name < $2
 WHERE p.term = $3;

-- name: postings_of_all
-- $1 term. As `postings`, for the whole database. One range.
SELECT item, times, length FROM perdure_postings WHERE term = $1;

-- name: frequency
-- $1 first namespace, $2 end, $3 term, $4 limit. As `postings`, counted up to the limit.
SELECT count(*)
  FROM (SELECT 1
          FROM perdure_namespaces n
         JOIN perdure_postings p ON p.term = $3 AND p.item BETWEEN n.no << 32 AND (n.no << 32) | 4294967295
         WHERE n.name >= $1
           AND n.name < $2
         LIMIT $4) AS found;

-- name: frequency_of_many
-- As `frequency`, where `postings_of_many` would be asked.
SELECT count(*)
  FROM (SELECT 1
          FROM perdure_postings p
          JOIN LATERAL (SELECT s.name FROM perdure_namespaces s WHERE s.no = p.item >> 32 OFFSET 0) AS n
            ON n.name >= $1 AND n.name < $2
         WHERE p.term = $3
         LIMIT $4) AS found;

-- name: frequency_of_all
-- $1 term, $2 limit. As `frequency`, for the whole database. One range.
SELECT count(*) FROM (SELECT 1 FROM perdure_postings WHERE term = $1 LIMIT $2) AS found;

-- name: postings_in
-- Rows of (term, item). One seek a row.
SELECT p.item, p.times, p.length
  FROM unnest($1::bytea[], $2::bigint[]) AS wanted (term, item)
  JOIN perdure_postings p ON p.term = wanted.term AND p.item = wanted.item;

-- name: next_term
-- $1 from. The first term that is not less. One seek.
SELECT term FROM perdure_postings WHERE term >= $1 ORDER BY term LIMIT 1;

-- name: words
-- $1 first namespace, $2 end, $3 name of the index, $4 terms, $5 items of a small subtree, $6 rows of a term elsewhere. What a search
-- for these words asks first, in one: (0, number of the index, items, length, strays, namespaces) as `text_totals`; in a small subtree
-- all `postings` of each term (its place, item, times, length), elsewhere some; and there (- its place, frequency, 1 where
-- `postings_of_many` would be asked, 2 for the whole database). One range of namespaces with one of totals each; of terms what `postings`
-- and `frequency` read.
WITH known AS MATERIALIZED (
       SELECT coalesce((SELECT x.no FROM perdure_indexes x WHERE x.name = $3), -1) AS no
     ),
     held AS MATERIALIZED (
       SELECT (SELECT k.no FROM known k) AS no,
              coalesce(sum(t.items) FILTER (WHERE t.idx = (SELECT k.no FROM known k)), 0)::bigint AS items,
              coalesce(sum(t.length) FILTER (WHERE t.idx = (SELECT k.no FROM known k)), 0)::bigint AS length,
              coalesce(sum(t.items + t.empty) FILTER (WHERE t.idx <> (SELECT k.no FROM known k)), 0)::bigint AS strays,
              count(*) AS spaces
         FROM perdure_namespaces n
         JOIN perdure_totals t ON t.space = n.no
        WHERE n.name >= $1
          AND n.name < $2
     ),
     wanted AS MATERIALIZED (
       SELECT w.place, f.term, h.items <= $5::bigint AS small,
              CASE WHEN $1 = ''::bytea THEN 2
                   WHEN h.spaces > 16
                    AND (SELECT count(*) FROM (SELECT 1 FROM perdure_postings p WHERE p.term = f.term LIMIT h.spaces) AS few) < h.spaces
                   THEN 1
                   ELSE 0
              END AS way
         FROM held h
        CROSS JOIN unnest($4::bytea[]) WITH ORDINALITY AS w (term, place)
        CROSS JOIN LATERAL (SELECT set_byte('\x00'::bytea, 0, h.no::integer) || w.term AS term OFFSET 0) AS f
        WHERE h.no >= 0
     )
SELECT 0::bigint, no, items, length, strays, spaces FROM held
 UNION ALL
SELECT w.place, found.item, found.times, found.length, 0, 0
  FROM wanted w
 CROSS JOIN LATERAL (
         SELECT p.item, p.times, p.length
           FROM perdure_namespaces n
           JOIN perdure_postings p ON p.term = w.term AND p.item BETWEEN n.no << 32 AND (n.no << 32) | 4294967295
          WHERE w.way = 0
            AND n.name >= $1
            AND n.name < $2
          UNION ALL
         SELECT p.item, p.times, p.length
           FROM perdure_postings p
           JOIN LATERAL (SELECT s.name FROM perdure_namespaces s WHERE s.no = p.item >> 32 OFFSET 0) AS n
             ON n.name >= $1 AND n.name < $2
          WHERE w.way = 1
            AND p.term = w.term
          UNION ALL
         SELECT p.item, p.times, p.length
           FROM perdure_postings p
          WHERE w.way = 2
            AND p.term = w.term
          LIMIT CASE WHEN w.small THEN NULL ELSE $6::bigint END
       ) AS found
 UNION ALL
SELECT - w.place, found.frequency, w.way, 0, 0, 0
  FROM wanted w
 CROSS JOIN LATERAL (
         SELECT CASE w.way
                WHEN 2
                THEN (SELECT count(*) FROM perdure_postings p WHERE p.term = w.term)
                WHEN 1
                THEN (SELECT count(*)
                        FROM perdure_postings p
                        JOIN LATERAL (SELECT s.name FROM perdure_namespaces s WHERE s.no = p.item >> 32 OFFSET 0) AS n
                          ON n.name >= $1 AND n.name < $2
                       WHERE p.term = w.term)
                ELSE (SELECT count(*)
                        FROM perdure_namespaces n
                        JOIN perdure_postings p ON p.term = w.term AND p.item BETWEEN n.no << 32 AND (n.no << 32) | 4294967295
                       WHERE n.name >= $1
                         AND n.name < $2)
                END AS frequency
         OFFSET 0
       ) AS found
 WHERE NOT w.small;

-- name: terms
-- $1 first namespace, $2 end, $3 name of the index, $4 beginning, $5 limit. Terms of the subtree that begin so, in order (that in which
-- they are walked). One seek for each such term of the database, and what `frequency` reads for its first row.
WITH RECURSIVE known AS MATERIALIZED (
       SELECT set_byte('\x00'::bytea, 0, x.no::integer) || $4::bytea AS beginning,
              (SELECT count(*) FROM (SELECT 1 FROM perdure_namespaces n WHERE n.name >= $1 AND n.name < $2 LIMIT 20000) AS few) AS spaces
         FROM perdure_indexes x
        WHERE x.name = $3
     ),
     walked (term) AS (
       SELECT (SELECT p.term FROM perdure_postings p WHERE p.term >= k.beginning ORDER BY p.term LIMIT 1) FROM known k
        UNION ALL
       SELECT (SELECT p.term FROM perdure_postings p WHERE p.term > w.term ORDER BY p.term LIMIT 1)
         FROM walked w, known k
        WHERE substr(w.term, 1, length(k.beginning)) = k.beginning
     )
SELECT substr(w.term, 2)
  FROM known k
 CROSS JOIN walked w
 WHERE substr(w.term, 1, length(k.beginning)) = k.beginning
   AND CASE WHEN $1 = ''::bytea THEN true
            WHEN k.spaces > 16
             AND (SELECT count(*) FROM (SELECT 1 FROM perdure_postings p WHERE p.term = w.term LIMIT k.spaces) AS few) < k.spaces
            THEN EXISTS (SELECT 1
                           FROM perdure_postings p
                           JOIN LATERAL (SELECT s.name FROM perdure_namespaces s WHERE s.no = p.item >> 32 OFFSET 0) AS n
                             ON n.name >= $1 AND n.name < $2
                          WHERE p.term = w.term
                         OFFSET 0)
            ELSE EXISTS (SELECT 1
                           FROM perdure_namespaces n
                           JOIN perdure_postings p ON p.term = w.term AND p.item BETWEEN n.no << 32 AND (n.no << 32) | 4294967295
                          WHERE n.name >= $1
                            AND n.name < $2
                         OFFSET 0)
       END
 LIMIT $5;

-- name: strays
-- $1 first namespace, $2 end, $3 index, $4 now. Live items to be found that are filed otherwise. One range of items for each
-- namespace that has any: asked only where the totals say so.
SELECT n.name, i.key, v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, i.paths, v.expires, v.ttl
  FROM perdure_namespaces n
  JOIN perdure_items i ON i.id BETWEEN n.no << 32 AND (n.no << 32) | 4294967295 AND i.alive <> 0 AND i.idx <> $3
   AND (i.expires IS NULL OR i.expires > $4)
  JOIN perdure_versions v ON v.version = i.version
 WHERE n.name >= $1
   AND n.name < $2
   AND EXISTS (SELECT 1 FROM perdure_totals t WHERE t.space = n.no AND t.idx <> $3 AND t.items + t.empty > 0)
 ORDER BY v.version;

-- name: refs
-- Rows of (number, namespace, key, now). The live items: number as given, id. One seek a row and table.
SELECT wanted.number, i.id
  FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bigint[]) AS wanted (number, namespace, key, now)
  JOIN perdure_namespaces n ON n.name = wanted.namespace
  JOIN perdure_items i ON i.id >> 32 = n.no AND i.key = wanted.key
 WHERE i.alive <> 0
   AND (i.expires IS NULL OR i.expires > wanted.now);

-- name: item_versions
-- Rows of (item, now). The live items' versions. One seek a row.
SELECT i.id, i.version
  FROM unnest($1::bigint[], $2::bigint[]) AS wanted (item, now)
  JOIN perdure_items i ON i.id = wanted.item
 WHERE i.alive <> 0
   AND (i.expires IS NULL OR i.expires > wanted.now);

-- name: items_by_id
-- Rows of (item, now). The live items. One seek a row and table.
SELECT i.id, n.name, i.key, v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, i.paths, v.expires, v.ttl
  FROM unnest($1::bigint[], $2::bigint[]) AS wanted (item, now)
  JOIN perdure_items i ON i.id = wanted.item
  JOIN perdure_versions v ON v.version = i.version
  JOIN perdure_namespaces n ON n.no = i.id >> 32
 WHERE i.alive <> 0
   AND (i.expires IS NULL OR i.expires > wanted.now);

-- name: text_lengths
-- Rows of (item, index, now). The lengths of those that have terms. One seek a row.
SELECT i.id, i.length
  FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS wanted (item, idx, now)
  JOIN perdure_items i ON i.id = wanted.item
 WHERE i.alive <> 0
   AND (i.expires IS NULL OR i.expires > wanted.now)
   AND i.idx = wanted.idx
   AND i.length > 0;

-- name: find_texts
-- Rows of (item). The terms they are filed with. One seek a row.
SELECT t.item, t.terms
  FROM unnest($1::bigint[]) AS wanted (item)
  JOIN perdure_texts t ON t.item = wanted.item;

-- ---- rows in and out

-- name: add_index
-- no, name.
INSERT INTO perdure_indexes (no, name)
SELECT * FROM unnest($1::bigint[], $2::bytea[]);

-- name: add_posting
-- term, item, times, length.
INSERT INTO perdure_postings (term, item, times, length)
SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[])
    ON CONFLICT (term, item) DO UPDATE SET times = excluded.times, length = excluded.length;

-- name: remove_posting
-- term, item. One seek.
DELETE FROM perdure_postings t
 USING unnest($1::bytea[], $2::bigint[]) AS wanted (term, item)
 WHERE t.term = wanted.term AND t.item = wanted.item;

-- name: set_text
-- item, terms.
INSERT INTO perdure_texts (item, terms)
SELECT * FROM unnest($1::bigint[], $2::bytea[])
    ON CONFLICT (item) DO UPDATE SET terms = excluded.terms;

-- name: remove_text
-- item. One seek.
DELETE FROM perdure_texts t
 USING unnest($1::bigint[]) AS wanted (item)
 WHERE t.item = wanted.item;

-- name: add_to_totals
-- space, idx, items, length, empty: what is added. One seek.
INSERT INTO perdure_totals AS t (space, idx, items, length, empty)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
    ON CONFLICT (space, idx) DO UPDATE
       SET items = t.items + excluded.items, length = t.length + excluded.length, empty = t.empty + excluded.empty;

-- name: remove_totals
-- $1 no. Of a namespace that is gone. One range.
DELETE FROM perdure_totals t
 USING unnest($1::bigint[]) AS wanted (no)
 WHERE t.space = wanted.no
   AND NOT EXISTS (SELECT 1 FROM perdure_namespaces n WHERE n.no = wanted.no);

-- ---- vectors

-- name: vector_spaces
-- $1 first namespace, $2 end, $3 name of the model. One range of namespaces, one seek each.
SELECT n.no, s.items, s.changed
  FROM perdure_namespaces n
  JOIN LATERAL (
         SELECT w.items, w.changed
           FROM perdure_vector_spaces w
          WHERE w.space = n.no AND w.model = (SELECT x.no FROM perdure_indexes x WHERE x.name = $3)
         OFFSET 0
       ) AS s ON s.items > 0
 WHERE n.name >= $1
   AND n.name < $2
 ORDER BY n.name;

-- name: vectors
-- $1 space, $2 model, $3 after, $4 first item, $5 limit. Those written by later commits. One range of
-- perdure_vectors_by_seq.
SELECT item, data
  FROM perdure_vectors
 WHERE item >> 32 = $1
   AND model = $2
   AND seq > $3
   AND item >= $4
 ORDER BY item
 LIMIT $5;

-- name: all_vectors
-- $1 space, $2 model, $3 first item, $4 limit. All of the namespace's. One range of the table.
SELECT item, data
  FROM perdure_vectors
 WHERE item BETWEEN greatest($3, $1 << 32) AND ($1 << 32) | 4294967295
   AND model = $2
 ORDER BY item
 LIMIT $4;

-- name: embedded
-- $1 space, $2 model. Items that have vectors. One range of perdure_vectors_by_seq.
SELECT item
  FROM perdure_vectors
 WHERE item >> 32 = $1
   AND model = $2
 ORDER BY item;

-- name: owed
-- $1 after which version, $2 now, $3 limit. Items whose vectors are owed. One range of perdure_items_owed, which has just these.
SELECT n.name, i.key, v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, i.paths, v.expires, v.ttl
  FROM perdure_items i
  JOIN perdure_versions v ON v.version = i.version
  JOIN perdure_namespaces n ON n.no = i.id >> 32
 WHERE i.model = 0
   AND i.version > $1
   AND i.alive = 1
   AND (i.expires IS NULL OR i.expires > $2)
 ORDER BY i.version
 LIMIT $3;

-- name: set_vectors
-- item, model, seq, data.
INSERT INTO perdure_vectors (item, model, seq, data)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[])
    ON CONFLICT (item) DO UPDATE SET model = excluded.model, seq = excluded.seq, data = excluded.data;

-- name: remove_vectors
-- item. One seek.
DELETE FROM perdure_vectors t
 USING unnest($1::bigint[]) AS wanted (item)
 WHERE t.item = wanted.item;

-- name: add_to_vector_spaces
-- space, model, items that are added, changed. One seek.
INSERT INTO perdure_vector_spaces AS t (space, model, items, changed)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
    ON CONFLICT (space, model) DO UPDATE SET items = t.items + excluded.items, changed = excluded.changed;

-- name: remove_vector_spaces
-- $1 no. Of a namespace that is gone. One range.
DELETE FROM perdure_vector_spaces t
 USING unnest($1::bigint[]) AS wanted (no)
 WHERE t.space = wanted.no
   AND NOT EXISTS (SELECT 1 FROM perdure_namespaces n WHERE n.no = wanted.no);
